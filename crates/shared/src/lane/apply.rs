//! The entry point of the protocol: applies one event to a lane.

use super::{Effects, Event, Lane, OutcomeSummary, Refused, settle::Retry, transition::Transition};
use crate::time::TimeMs;

/// Changes a lane by an event, and returns the effects of the event.
///
/// `outcome` is the outcome of the event's job if that job has ended, and `None` otherwise. `now` is the
/// time of the store's clock.
///
/// A repeated settlement (finish, retry, deferral or release) succeeds without effects if the first one took effect.
///
/// # Errors
/// [`Refused`], with the lane unchanged.
pub fn apply(
    lane: &mut Lane,
    outcome: Option<OutcomeSummary>,
    event: &Event,
    now: TimeMs,
) -> Result<Effects, Refused> {
    let mut transition = Transition {
        lane,
        outcome,
        now,
        effects: Effects::default(),
    };
    match event {
        Event::Admit(admit) => transition.admit(admit),
        Event::Claim {
            job,
            worker,
            repeated_fence,
            limit_ms,
        } => transition.claim(*job, worker, *repeated_fence, *limit_ms),
        Event::Finish {
            job,
            fence,
            error,
            hold_ms,
        } => transition.finish(*job, *fence, error.as_ref(), *hold_ms),
        Event::Retry {
            job,
            fence,
            not_before,
            tries_max,
            error,
        } => {
            let retry = Retry {
                not_before: *not_before,
                tries_max: *tries_max,
                error,
            };
            transition.retry(*job, *fence, &retry)
        }
        Event::Defer {
            job,
            fence,
            account,
            error,
        } => transition.defer(*job, *fence, account, error),
        Event::Resume { job } => transition.resume(*job),
        Event::Release { job, fence, reason } => transition.release(*job, *fence, *reason),
        Event::Cancel { job } => transition.cancel(*job),
        Event::Tick { job, live } => transition.tick(*job, live.as_ref()),
    }?;
    Ok(transition.effects)
}
