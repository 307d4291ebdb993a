//! The list of a tenant's jobs, in the order of their creation.

use std::ops::RangeInclusive;

use crate::{
    ids::{JobId, SessionId, TenantId},
    time::TimeMs,
};

/// The position of a job in the list of its tenant. It never changes, so a list that is read in pages misses no job and shows none
/// twice, while other jobs are created and removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListPosition {
    /// When the job was created.
    pub created_at: TimeMs,
    /// The job. It orders jobs of the same millisecond.
    pub job: JobId,
}

/// Which part of the list of a tenant to read.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The tenant.
    pub tenant: TenantId,
    /// Only jobs that may belong to this session. Jobs of other sessions of the same partition are returned too.
    pub session: Option<SessionId>,
    /// Only jobs that were created within this range.
    pub created: RangeInclusive<TimeMs>,
    /// Whether the list begins with the oldest job, and not with the newest.
    pub is_oldest_first: bool,
    /// Begins behind this position. The job there need not exist any more.
    pub after: Option<ListPosition>,
    /// The most positions, 1 to 1,000.
    pub limit: usize,
}

impl ListQuery {
    /// The earliest and the latest creation of the jobs that the query may return, both included. `None` if it returns none.
    #[must_use]
    pub fn bounds(&self) -> Option<RangeInclusive<TimeMs>> {
        let (mut first, mut last) = (*self.created.start(), *self.created.end());
        match (self.after, self.is_oldest_first) {
            (Some(after), true) => first = first.max(after.created_at),
            (Some(after), false) => last = last.min(after.created_at),
            (None, _) => {}
        }
        (first <= last).then_some(first..=last)
    }

    /// Whether a position within the bounds comes behind [`after`](Self::after).
    #[must_use]
    pub fn is_behind(&self, position: ListPosition) -> bool {
        match self.after {
            Some(after) if self.is_oldest_first => position > after,
            Some(after) => position < after,
            None => true,
        }
    }

    /// The partition of the session's jobs, if the query names a session.
    #[must_use]
    pub fn partition(&self) -> Option<u8> {
        let session = self.session.clone()?;
        let tenant = self.tenant.clone();
        Some(crate::ids::LaneKey::Session { tenant, session }.partition())
    }
}
