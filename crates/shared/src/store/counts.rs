//! The counts of live and ended jobs.

use std::time::Duration;

use super::DeferredCount;
use crate::{class::Class, ids::TenantId, lane::ClassCounts, time::TimeMs};

/// The counts of all jobs and sessions at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// One row for each tenant and class that has or had jobs.
    pub rows: Vec<TenantClassCounts>,
    /// The jobs that wait for each account, by the class of their head. Accounts for which no head waits are left out.
    pub deferred: Vec<DeferredCount>,
    /// The number of sessions, with and without live jobs.
    pub sessions: u64,
}

/// The interval in which a fleet reads its counts once, in milliseconds.
pub const RECENT_COUNTS_MS: u64 = 1_000;

/// Counts that may have been read before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentCounts {
    /// The counts.
    pub counts: Counts,
    /// When they were read, by the clock of the store. Counts with the same time are the same counts.
    pub at: TimeMs,
    /// The time since they were read.
    pub age: Duration,
    /// How long it took to read them, if a process of a fleet has read them for all. The others get counts this long after `at`.
    pub took: Duration,
}

/// The counts of one class of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantClassCounts {
    /// The tenant that owns the jobs.
    pub tenant: TenantId,
    /// The class of the jobs.
    pub class: Class,
    /// The live jobs.
    pub live: ClassCounts,
    /// The number of jobs that have ended since the store was created. It never falls.
    pub ended: u64,
    /// When the oldest of the queued jobs was accepted. A job that waits for its next try is queued too.
    pub oldest_waiting: Option<TimeMs>,
}

/// The counts of one class over all tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassTotals {
    /// The live jobs.
    pub live: ClassCounts,
    /// The number of jobs that have ended since the store was created.
    pub ended: u64,
    /// When the oldest of the queued jobs was accepted. A job that waits for its next try is queued too.
    pub oldest_waiting: Option<TimeMs>,
}

impl Counts {
    /// The sum of the rows of one class.
    #[must_use]
    pub fn class(&self, class: Class) -> ClassTotals {
        Self::sum(self.rows.iter().filter(|row| row.class == class))
    }

    /// The counts of one class of one tenant.
    #[must_use]
    pub fn class_of(&self, tenant: &TenantId, class: Class) -> ClassTotals {
        let rows = self.rows.iter();
        Self::sum(rows.filter(|row| row.class == class && row.tenant == *tenant))
    }

    fn sum<'a>(rows: impl Iterator<Item = &'a TenantClassCounts>) -> ClassTotals {
        let mut totals = ClassTotals::default();
        for row in rows {
            totals.live += row.live;
            totals.ended += row.ended;
            let oldest = [totals.oldest_waiting, row.oldest_waiting];
            totals.oldest_waiting = oldest.into_iter().flatten().min();
        }
        totals
    }

    /// The number of live jobs of all tenants and classes.
    #[must_use]
    pub fn live(&self) -> u64 {
        let live: i64 = self.rows.iter().map(|row| row.live.live()).sum();
        u64::try_from(live).unwrap_or(0)
    }
}
