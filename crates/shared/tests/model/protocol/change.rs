//! The result of `lane::apply` in the model's words.

use crate::state::{JOBS, JobLife, Lane, Timer};

/// The result of `lane::apply` in the model's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelChange {
    pub(crate) lane: Lane,
    /// For each job, the new timer if it changes.
    pub(crate) timers: [Option<Timer>; JOBS],
    pub(crate) wake: Option<u8>,
    /// For each job that ends: its end, its fence and the fence that settled it.
    pub(crate) ended: [Option<(JobLife, u8, u8)>; JOBS],
    /// Whether the session grows, by the turns of a reply or by inputs that are kept.
    pub(crate) session_grows: bool,
    /// The fence of a granted claim.
    pub(crate) granted: Option<u8>,
    /// Whether a claim came too early.
    pub(crate) not_due: bool,
}

impl ModelChange {
    /// Whether nothing changes, because the call was a repeat.
    pub(crate) fn is_nothing(&self, lane: &Lane) -> bool {
        self.lane == *lane
            && self.timers == [None; JOBS]
            && self.wake.is_none()
            && self.ended == [None; JOBS]
    }
}
