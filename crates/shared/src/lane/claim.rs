//! A worker takes the head.

use super::{ATTEMPTS_MAX, Claim, Effects, Lane, Refused, State, edit};
use crate::{
    document::UnknownFields,
    ids::{JobId, ProcessId},
    job::Attempt,
    time::TimeMs,
};

pub(super) fn claim(
    lane: &mut Lane,
    job: JobId,
    worker: &ProcessId,
    asked: Option<u64>,
    limit_ms: u64,
    now: TimeMs,
    out: &mut Effects,
) -> Result<(), Refused> {
    let (place, _) = lane.find(job).ok_or(Refused::Gone)?;
    if place > 0 {
        return Err(Refused::NotHead);
    }
    let head = &mut lane.entries[0];
    match &head.state {
        State::Running { worker: owner, .. } => {
            return if owner == worker && asked == Some(head.fence) {
                // The answer to this very claim was lost on its way.
                out.claim = Some(Claim::Granted { fence: head.fence });
                Ok(())
            } else {
                Err(Refused::Running)
            };
        }
        State::Queued {
            not_before: Some(not_before),
        } if *not_before > now => {
            // Whoever was told too early had parked the timer far off: here it comes back.
            out.timers
                .push((job, Some((*not_before).min(head.deadline))));
            out.claim = Some(Claim::NotDue {
                not_before: *not_before,
            });
            return Ok(());
        }
        // Its timer is due too, and the sweeper ends it; to begin a call would be a waste.
        State::Queued { .. } if head.deadline <= now => return Err(Refused::Gone),
        State::Queued { .. } => {}
    }

    let until = now.plus_ms(limit_ms);
    head.fence += 1;
    head.state = State::Running {
        worker: worker.clone(),
        until,
    };
    head.claimed = true;
    head.started_at = head.started_at.or(Some(now));
    if head.attempts.len() == ATTEMPTS_MAX {
        head.attempts.remove(0);
    }
    head.attempts.push(Attempt {
        n: head.attempts.last().map_or(0, |attempt| attempt.n) + 1,
        worker: worker.clone(),
        started_at: now,
        ended_at: None,
        error: None,
        unknown: UnknownFields::NONE,
    });
    out.timers
        .push((job, Some(edit::running_timer(until, head.deadline, now))));
    out.claim = Some(Claim::Granted { fence: head.fence });
    lane.hold_until = None;
    Ok(())
}
