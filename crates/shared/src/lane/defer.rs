//! Defers a job whose provider may not be called now, and resumes it.
//!
//! A deferred job waits until its account has a permit for it. While it waits, it is not claimed and spends no try. A worker
//! defers a job, and the sweeper resumes it.

use super::{
    DEFERRED_MS_MAX, Deferral, Refused, State,
    settle::FenceCheck,
    transition::{self, Transition},
};
use crate::{account::AccountKey, ids::JobId, job::JobError};

impl Transition<'_> {
    /// Defers the head. With a fence, this ends the attempt with that fence.
    pub(super) fn defer(
        &mut self,
        job: JobId,
        fence: Option<u64>,
        account: &AccountKey,
        error: &JobError,
    ) -> Result<(), Refused> {
        match fence {
            Some(fence) => {
                if self.check_fence(job, fence)? == FenceCheck::Repeat {
                    return Ok(());
                }
                let head = &mut self.lane.entries[0];
                transition::end_attempt(head, Some(error.clone()), self.now);
                head.settled_fence = fence;
            }
            None => {
                if !self.check_due(job)? {
                    return Ok(());
                }
            }
        }
        let until = self.now.plus_ms(DEFERRED_MS_MAX);
        let head = &mut self.lane.entries[0];
        head.state = State::Deferred(Box::new(Deferral {
            account: account.clone(),
            error: error.clone(),
            until,
        }));
        let timer = until.min(head.deadline);
        self.set_timer(job, timer);
        self.end_passed_hold();
        Ok(())
    }

    /// Wakes a deferred head.
    pub(super) fn resume(&mut self, job: JobId) -> Result<(), Refused> {
        let (position, entry) = self.lane.find(job).ok_or(Refused::Gone)?;
        if position > 0 {
            return Err(Refused::NotHead);
        }
        match entry.state {
            State::Running { .. } => Err(Refused::Running),
            State::Queued { .. } => Err(Refused::NotDeferred),
            // The timer is due too, so the sweeper expires the job. A provider call would be wasted.
            State::Deferred(_) if entry.deadline <= self.now => Err(Refused::Gone),
            State::Deferred(_) => {
                self.wake_head();
                Ok(())
            }
        }
    }

    /// Whether a head may be claimed now. If it must still wait, its timer is set again, because the publisher of the wake
    /// may have parked the timer.
    fn check_due(&mut self, job: JobId) -> Result<bool, Refused> {
        let (position, entry) = self.lane.find(job).ok_or(Refused::Gone)?;
        if position > 0 {
            return Err(Refused::NotHead);
        }
        let not_before = match &entry.state {
            State::Running { .. } => return Err(Refused::Running),
            State::Queued { not_before } => not_before.filter(|at| *at > self.now),
            State::Deferred(deferral) => Some(deferral.until),
        };
        let deadline = entry.deadline;
        if let Some(not_before) = not_before {
            self.set_timer(job, not_before.min(deadline));
            return Ok(false);
        }
        // The timer is due too, so the sweeper expires the job.
        if deadline <= self.now {
            return Err(Refused::Gone);
        }
        Ok(true)
    }
}
