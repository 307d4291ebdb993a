//! The one door to the protocol.

use super::{Effects, Event, Lane, OutcomeSummary, Refused, admit, cancel, claim, settle, tick};
use crate::time::TimeMs;

/// What a lane is after an event, and what comes with it.
///
/// `record` is what the record of the event's job says if that job has ended; `None` while it lives
/// or if there is none. `now` is the store's clock.
///
/// A repeat of a call that was settled already is a success without effects.
///
/// # Errors
/// [`Refused`], when the event changes nothing.
pub fn apply(
    lane: &Lane,
    record: Option<OutcomeSummary>,
    event: &Event,
    now: TimeMs,
) -> Result<(Lane, Effects), Refused> {
    let mut next = lane.clone();
    let mut effects = Effects::default();
    let (lane, out) = (&mut next, &mut effects);
    match event {
        Event::Admit(event) => admit::admit(lane, record, event, now, out),
        Event::Claim {
            job,
            worker,
            asked,
            limit_ms,
        } => claim::claim(lane, *job, worker, *asked, *limit_ms, now, out),
        Event::Finish {
            job,
            fence,
            error,
            hold_ms,
        } => settle::finish(
            lane,
            record,
            *job,
            *fence,
            error.as_ref(),
            *hold_ms,
            now,
            out,
        ),
        Event::Retry {
            job,
            fence,
            not_before,
            tries_max,
            error,
        } => {
            let retry = settle::Retry {
                not_before: *not_before,
                tries_max: *tries_max,
                error,
            };
            settle::retry(lane, record, *job, *fence, &retry, now, out)
        }
        Event::Release { job, fence } => settle::release(lane, record, *job, *fence, now, out),
        Event::Cancel { job } => cancel::cancel(lane, *job, now, out),
        Event::Tick { job, presence } => tick::tick(lane, *job, presence.as_ref(), now, out),
    }?;
    Ok((next, effects))
}
