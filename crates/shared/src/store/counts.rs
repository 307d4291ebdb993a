//! The counts of a store.

use crate::{class::Class, ids::TenantId, lane::ClassCounts, time::TimeMs};

/// What a store holds, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// For each tenant and class that has or had jobs.
    pub rows: Vec<TenantClass>,
    /// Sessions, with and without live jobs.
    pub sessions: u64,
}

/// The counts of one class of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantClass {
    /// Whose.
    pub tenant: TenantId,
    /// Which class.
    pub class: Class,
    /// Its live jobs.
    pub live: ClassCounts,
    /// How many have ended since the store was made; never falls.
    pub ended: u64,
    /// When the oldest of its jobs that no worker runs was accepted.
    pub oldest_waiting: Option<TimeMs>,
}

/// The counts of one class over all tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassTotals {
    /// Its live jobs.
    pub live: ClassCounts,
    /// How many have ended since the store was made.
    pub ended: u64,
    /// When the oldest of its jobs that no worker runs was accepted.
    pub oldest_waiting: Option<TimeMs>,
}

impl Counts {
    /// The counts of a class over all tenants.
    #[must_use]
    pub fn class(&self, class: Class) -> ClassTotals {
        let mut totals = ClassTotals::default();
        for row in self.rows.iter().filter(|row| row.class == class) {
            totals.live.ready += row.live.ready;
            totals.live.in_flight += row.live.in_flight;
            totals.live.behind_session += row.live.behind_session;
            totals.live.retry_wait += row.live.retry_wait;
            totals.ended += row.ended;
            totals.oldest_waiting = match (totals.oldest_waiting, row.oldest_waiting) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        totals
    }

    /// All live jobs.
    #[must_use]
    pub fn live(&self) -> u64 {
        let live: i64 = self.rows.iter().map(|row| row.live.live()).sum();
        u64::try_from(live).unwrap_or(0)
    }
}
