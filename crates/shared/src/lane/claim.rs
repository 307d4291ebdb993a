//! A worker claims the head.

use super::{
    ATTEMPTS_MAX, ClaimResult, Refused, State,
    transition::{self, Transition},
};
use crate::{
    document::UnknownFields,
    ids::{JobId, ProcessId},
    job::Attempt,
};

impl Transition<'_> {
    pub(super) fn claim(
        &mut self,
        job: JobId,
        worker: &ProcessId,
        repeated_fence: Option<u64>,
        limit_ms: u64,
    ) -> Result<(), Refused> {
        let (position, _) = self.lane.find(job).ok_or(Refused::Gone)?;
        if position > 0 {
            return Err(Refused::NotHead);
        }
        let head = &mut self.lane.entries[0];
        match &head.state {
            State::Running { worker: owner, .. } => {
                // The worker repeats its claim, because the response to the first claim was lost.
                if owner == worker && repeated_fence == Some(head.fence) {
                    self.effects.claim = Some(ClaimResult::Granted { fence: head.fence });
                    return Ok(());
                }
                return Err(Refused::Running);
            }
            State::Queued {
                not_before: Some(not_before),
            } if *not_before > self.now => {
                // The wake came too early. Its publisher may have parked the timer, so the timer is set again.
                let (not_before, deadline) = (*not_before, head.deadline);
                self.set_timer(job, not_before.min(deadline));
                self.effects.claim = Some(ClaimResult::NotDue { not_before });
                return Ok(());
            }
            // The sweeper resumes the job when its account has a permit for it.
            State::Deferred(deferral) => {
                let (not_before, deadline) = (deferral.until, head.deadline);
                self.set_timer(job, not_before.min(deadline));
                self.effects.claim = Some(ClaimResult::NotDue { not_before });
                return Ok(());
            }
            // The deadline has passed, so a provider call would be wasted. The timer is due too, so the sweeper
            // ends the job as expired.
            State::Queued { .. } if head.deadline <= self.now => return Err(Refused::Gone),
            State::Queued { .. } => {}
        }

        let until = self.now.plus_ms(limit_ms);
        head.fence += 1;
        head.state = State::Running {
            worker: worker.clone(),
            until,
        };
        head.claimed = true;
        head.started_at = head.started_at.or(Some(self.now));
        if head.attempts.len() == ATTEMPTS_MAX {
            head.attempts.remove(0);
        }
        head.attempts.push(Attempt {
            n: head.attempts.last().map_or(0, |attempt| attempt.n) + 1,
            worker: worker.clone(),
            started_at: self.now,
            ended_at: None,
            error: None,
            unknown: UnknownFields::NONE,
        });
        self.effects.claim = Some(ClaimResult::Granted { fence: head.fence });
        let timer = transition::running_timer(until, head.deadline, self.now);
        self.set_timer(job, timer);
        self.lane.hold_until = None;
        Ok(())
    }
}
