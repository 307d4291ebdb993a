//! The moves that several events share: taking an entry out, making a new head ready, ending a hold.

use super::{Effects, EndedEntry, Entry, GRACE_MS, Lane, REVISIT_MS, State};
use crate::{
    job::{JobError, Status},
    time::TimeMs,
};

/// How a job leaves its lane.
pub(super) struct Exit {
    pub(super) status: Status,
    pub(super) error: Option<JobError>,
    /// The fence that settled it; `None` when it was not an attempt that ended it.
    pub(super) settled: Option<u64>,
}

/// Takes the entry at `place` out. If that makes a new head, the new head is made ready.
pub(super) fn remove(lane: &mut Lane, place: usize, exit: Exit, now: TimeMs, out: &mut Effects) {
    let mut entry = lane.entries.remove(place);
    end_attempt(&mut entry, exit.error.clone(), now);
    if exit.settled.is_none()
        && let State::Running { worker, .. } = &entry.state
    {
        out.dropped_calls.push((worker.clone(), entry.job));
    }
    out.timers.push((entry.job, None));
    out.ended.push(EndedEntry {
        status: exit.status,
        error: exit.error,
        at: now,
        settled: exit.settled.unwrap_or(entry.settled),
        entry,
    });
    if place == 0 {
        ready_head(lane, now, out);
    }
}

/// Makes the head that has just become one ready: due at once, or at the end of the hold.
pub(super) fn ready_head(lane: &mut Lane, now: TimeMs, out: &mut Effects) {
    if lane.hold_until.is_some_and(|hold| hold <= now)
        || lane.head().is_some_and(|head| head.tool_results)
    {
        lane.hold_until = None;
    }
    let hold = lane.hold_until;
    let Some(head) = lane.entries.first_mut() else {
        return;
    };
    head.state = State::Queued { not_before: hold };
    match hold {
        Some(hold) => out.timers.push((head.job, Some(hold.min(head.deadline)))),
        None => wake_head(head, now, out),
    }
}

/// Asks for a wake of a head that is due. The timer stands until somebody confirms the wake.
pub(super) fn wake_head(head: &Entry, now: TimeMs, out: &mut Effects) {
    out.timers
        .push((head.job, Some(wake_timer(head.deadline, now))));
    out.wake = Some(head.job);
}

/// The timer of a head whose wake is asked for at `now`: when it is asked for again, unless somebody confirms it.
#[must_use]
pub fn wake_timer(deadline: TimeMs, now: TimeMs) -> TimeMs {
    now.plus_ms(GRACE_MS).min(deadline)
}

/// Ends a hold, if there is one; a head that waited under it is ready.
pub(super) fn end_hold(lane: &mut Lane, now: TimeMs, out: &mut Effects) {
    let Some(hold) = lane.hold_until.take() else {
        return;
    };
    if let Some(head) = lane.entries.first_mut()
        && head.state
            == (State::Queued {
                not_before: Some(hold),
            })
    {
        head.state = State::Queued { not_before: None };
        wake_head(head, now, out);
    }
}

/// Notes on the newest attempt, if it still runs, how it ended.
pub(super) fn end_attempt(entry: &mut Entry, error: Option<JobError>, now: TimeMs) {
    if let Some(attempt) = entry.attempts.last_mut()
        && attempt.ended_at.is_none()
    {
        attempt.ended_at = Some(now);
        attempt.error = error;
    }
}

/// When a running job is looked at again.
pub(super) fn running_timer(until: TimeMs, deadline: TimeMs, now: TimeMs) -> TimeMs {
    until.min(deadline).min(now.plus_ms(REVISIT_MS))
}
