//! An attempt settles its job: finish, retry or release (`defer.rs` has the deferral). Only the newest fence may settle. A repeat
//! succeeds without effects.

use super::{
    Refused, ReleaseReason, State,
    transition::{self, JobEnd, Transition},
};
use crate::{
    ids::JobId,
    job::{JobError, Status},
    time::TimeMs,
};

/// The arguments of a retry.
pub(super) struct Retry<'a> {
    pub(super) not_before: TimeMs,
    pub(super) tries_max: u32,
    pub(super) error: &'a JobError,
}

/// Whether a settlement with a valid fence takes effect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FenceCheck {
    /// The event is the first settlement with its fence, and its job is the head.
    First,
    /// The event repeats a settlement that took effect.
    Repeat,
}

impl Transition<'_> {
    pub(super) fn finish(
        &mut self,
        job: JobId,
        fence: u64,
        error: Option<&JobError>,
        hold_ms: Option<u64>,
    ) -> Result<(), Refused> {
        if self.check_fence(job, fence)? == FenceCheck::Repeat {
            return Ok(());
        }
        let status = if error.is_some() {
            Status::Failed
        } else {
            Status::Completed
        };
        if status == Status::Completed {
            self.effects.keep_turns = true;
            self.lane.hold_until = hold_ms.map(|ms| self.now.plus_ms(ms));
        }
        self.remove(
            0,
            JobEnd {
                status,
                error: error.cloned(),
                settled_fence: Some(fence),
            },
        );
        Ok(())
    }

    pub(super) fn retry(
        &mut self,
        job: JobId,
        fence: u64,
        retry: &Retry<'_>,
    ) -> Result<(), Refused> {
        if self.check_fence(job, fence)? == FenceCheck::Repeat {
            return Ok(());
        }
        let head = &mut self.lane.entries[0];
        head.tries += 1;
        if head.tries >= retry.tries_max {
            self.remove(
                0,
                JobEnd {
                    status: Status::Failed,
                    error: Some(retry.error.clone()),
                    settled_fence: Some(fence),
                },
            );
            return Ok(());
        }
        transition::end_attempt(head, Some(retry.error.clone()), self.now);
        head.settled_fence = fence;
        head.state = State::Queued {
            not_before: Some(retry.not_before),
        };
        let timer = retry.not_before.min(head.deadline);
        self.set_timer(job, timer);
        Ok(())
    }

    pub(super) fn release(
        &mut self,
        job: JobId,
        fence: u64,
        reason: ReleaseReason,
    ) -> Result<(), Refused> {
        if self.check_fence(job, fence)? == FenceCheck::Repeat {
            return Ok(());
        }
        let head = &mut self.lane.entries[0];
        transition::end_attempt(head, Some(reason.error()), self.now);
        head.settled_fence = fence;
        self.wake_head();
        Ok(())
    }

    /// Checks whether the attempt with this fence may settle the job.
    ///
    /// After a takeover, the last attempt may still settle the job until the next claim. Otherwise its reply would be
    /// lost, and the job would cost another provider call.
    pub(super) fn check_fence(&self, job: JobId, fence: u64) -> Result<FenceCheck, Refused> {
        match self.lane.find(job) {
            Some((_, entry)) if entry.settled_fence == fence => Ok(FenceCheck::Repeat),
            Some((_, entry)) if entry.fence != fence => Err(Refused::Fenced),
            Some((0, entry)) if entry.claimed => Ok(FenceCheck::First),
            Some(_) => Err(Refused::NotHead),
            None if self
                .outcome
                .is_some_and(|outcome| outcome.settled_fence == fence) =>
            {
                Ok(FenceCheck::Repeat)
            }
            None => Err(Refused::Gone),
        }
    }
}
