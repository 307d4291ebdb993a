//! The result of `lane::apply` as small values of the model.

use crate::state::{JOBS, Lane, Outcome, Timer};

/// The result of `lane::apply`: the new lane and the effects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelChange {
    pub(crate) lane: Lane,
    /// For each job, the new timer if it changes.
    pub(crate) timers: [Option<Timer>; JOBS],
    pub(crate) wake: Option<u8>,
    /// For each job, its outcome if it ends.
    pub(crate) outcomes: [Option<Outcome>; JOBS],
    /// Whether the session gets new turns: the turns of a finish, or the inputs of interrupted jobs.
    pub(crate) session_grows: bool,
    /// The fence of a granted claim.
    pub(crate) granted_fence: Option<u8>,
    /// Whether a claim came too early.
    pub(crate) not_due: bool,
}

impl ModelChange {
    /// Whether nothing changes, because the settlement was a repeat.
    pub(crate) fn changes_nothing_in(&self, lane: &Lane) -> bool {
        self.lane == *lane
            && self.timers == [None; JOBS]
            && self.wake.is_none()
            && self.outcomes == [None; JOBS]
    }
}
