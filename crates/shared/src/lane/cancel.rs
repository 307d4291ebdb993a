//! A client cancels a job.

use super::{
    Refused,
    transition::{JobEnd, Transition},
};
use crate::{
    ids::JobId,
    job::{JobError, Status},
};

impl Transition<'_> {
    pub(super) fn cancel(&mut self, job: JobId) -> Result<(), Refused> {
        let (position, _) = self.lane.find(job).ok_or(Refused::Gone)?;
        // The hold ends before the removal, so that a new head does not wait for the hold.
        self.end_hold();
        self.remove(
            position,
            JobEnd {
                status: Status::Cancelled,
                error: Some(JobError::new("cancelled", "cancelled by the client")),
                settled_fence: None,
            },
        );
        // The end of the hold may have requested a wake of the cancelled job.
        if self.effects.wake == Some(job) {
            self.effects.wake = None;
        }
        Ok(())
    }
}
