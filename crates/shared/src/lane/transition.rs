//! One event applied to one lane, and the steps that several events share: removing an entry, waking a head,
//! ending a hold.

use super::{
    Effects, EndedEntry, Entry, Lane, OutcomeSummary, PUBLISH_LIMIT_MS, REVISIT_MS, State,
};
use crate::{
    ids::JobId,
    job::{JobError, Status},
    time::TimeMs,
};

/// One event applied to one lane.
pub(super) struct Transition<'a> {
    /// The lane, which the event changes.
    pub(super) lane: &'a mut Lane,
    /// The outcome of the event's job, if that job has ended.
    pub(super) outcome: Option<OutcomeSummary>,
    /// The store's clock.
    pub(super) now: TimeMs,
    /// What the event requires besides the new lane.
    pub(super) effects: Effects,
}

/// How a job leaves its lane.
pub(super) struct JobEnd {
    pub(super) status: Status,
    pub(super) error: Option<JobError>,
    /// The fence of the attempt that settled the job; `None` if no attempt did.
    pub(super) settled_fence: Option<u64>,
}

impl Transition<'_> {
    /// Removes the entry at `position`. If that entry was the head, the next entry becomes the head.
    pub(super) fn remove(&mut self, position: usize, end: JobEnd) {
        let mut entry = self.lane.entries.remove(position);
        end_attempt(&mut entry, end.error.clone(), self.now);
        if end.settled_fence.is_none()
            && let State::Running { worker, .. } = &entry.state
        {
            self.effects.dropped_calls.push((worker.clone(), entry.job));
        }
        self.effects.timers.push((entry.job, None));
        self.effects.ended.push(EndedEntry {
            status: end.status,
            error: end.error,
            ended_at: self.now,
            settled_fence: end.settled_fence.unwrap_or(entry.settled_fence),
            entry,
        });
        if position == 0 {
            self.wake_or_hold_head();
        }
    }

    /// Wakes a new head. During a hold, the head waits for the end of the hold instead.
    pub(super) fn wake_or_hold_head(&mut self) {
        let Some(head) = self.lane.entries.first_mut() else {
            self.end_passed_hold();
            return;
        };
        if head.is_tool_results {
            self.lane.hold_until = None;
        }
        self.end_passed_hold();
        match self.lane.hold_until {
            None => self.wake_head(),
            Some(hold) => {
                let head = &mut self.lane.entries[0];
                head.state = State::Queued {
                    not_before: Some(hold),
                };
                let (job, timer) = (head.job, hold.min(head.deadline));
                self.set_timer(job, timer);
            }
        }
    }

    /// Queues the head without a `not_before` and requests its wake.
    pub(super) fn wake_head(&mut self) {
        let head = &mut self.lane.entries[0];
        head.state = State::Queued { not_before: None };
        let (job, timer) = (head.job, wake_timer(head.deadline, self.now));
        self.set_timer(job, timer);
        self.effects.wake = Some(job);
    }

    /// Ends the hold, if there is one. A head that waited for the end of the hold gets a wake.
    pub(super) fn end_hold(&mut self) {
        let Some(hold) = self.lane.hold_until.take() else {
            return;
        };
        let waiting = State::Queued {
            not_before: Some(hold),
        };
        if self.lane.head().is_some_and(|head| head.state == waiting) {
            self.wake_head();
        }
    }

    pub(super) fn set_timer(&mut self, job: JobId, at: TimeMs) {
        self.effects.timers.push((job, Some(at)));
    }

    /// Ends a hold whose time has passed.
    pub(super) fn end_passed_hold(&mut self) {
        if self.lane.hold_until.is_some_and(|hold| hold <= self.now) {
            self.lane.hold_until = None;
        }
    }
}

/// The timer of a head whose wake is requested at `now`. Once the queue has confirmed the wake, the timer
/// is parked. Otherwise the sweeper requests the wake again when the timer is due.
#[must_use]
pub fn wake_timer(deadline: TimeMs, now: TimeMs) -> TimeMs {
    now.plus_ms(PUBLISH_LIMIT_MS).min(deadline)
}

/// Records the end of the newest attempt, if that attempt has not ended.
pub(super) fn end_attempt(entry: &mut Entry, error: Option<JobError>, now: TimeMs) {
    if let Some(attempt) = entry.attempts.last_mut()
        && attempt.ended_at.is_none()
    {
        attempt.ended_at = Some(now);
        attempt.error = error;
    }
}

/// When the sweeper checks a running job again.
pub(super) fn running_timer(until: TimeMs, deadline: TimeMs, now: TimeMs) -> TimeMs {
    until.min(deadline).min(now.plus_ms(REVISIT_MS))
}
