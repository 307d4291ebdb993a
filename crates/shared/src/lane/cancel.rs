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
        // The hold ends before the removal, so that the new head does not wait for its end.
        self.end_hold();
        self.remove(
            position,
            JobEnd {
                status: Status::Cancelled,
                error: Some(JobError::new("cancelled", "cancelled by the client")),
                settled_fence: None,
            },
        );
        if self.effects.wake == Some(job) {
            self.effects.wake = None;
        }
        Ok(())
    }
}
