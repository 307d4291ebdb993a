//! A gateway admits a job.

use super::{
    Admit, Entry, IfBusy, LANE_MAX, Refused, State,
    transition::{JobEnd, Transition},
};
use crate::{
    document::UnknownFields,
    job::{JobError, Status},
};

impl Transition<'_> {
    pub(super) fn admit(&mut self, event: &Admit) -> Result<(), Refused> {
        if self.lane.find(event.job).is_some() || self.outcome.is_some() != event.is_repair {
            return Err(Refused::Exists);
        }
        if event.if_busy == IfBusy::Reject && !self.lane.entries.is_empty() {
            return Err(Refused::Busy);
        }
        if matches!(event.if_busy, IfBusy::Rollback | IfBusy::Interrupt) {
            self.cancel_live_jobs(event.if_busy);
        }
        if self.lane.entries.len() >= LANE_MAX {
            return Err(Refused::Full);
        }

        let entry = Entry {
            job: event.job,
            class: event.class,
            model: event.model.clone(),
            // The fence of a repair is above every fence that an older attempt may hold.
            fence: self.outcome.map_or(0, |outcome| outcome.fence + 1),
            settled_fence: self.outcome.map_or(0, |outcome| outcome.settled_fence),
            state: State::Queued { not_before: None },
            deadline: event.deadline,
            is_tool_results: event.is_tool_results,
            claimed: false,
            tries: 0,
            takeovers: 0,
            admitted_at: self.now,
            started_at: None,
            attempts: Vec::new(),
            unknown: UnknownFields::NONE,
            unknown_in_state: UnknownFields::NONE,
        };
        if event.is_repair {
            self.effects.repaired = Some(event.job);
        } else {
            self.effects.admitted = true;
        }
        self.insert(entry);
        Ok(())
    }

    /// Cancels all live jobs of the lane, because a newer message replaces them.
    fn cancel_live_jobs(&mut self, if_busy: IfBusy) {
        self.lane.hold_until = None;
        if if_busy == IfBusy::Interrupt {
            let jobs = self.lane.entries.iter().map(|entry| entry.job);
            self.effects.keep_inputs = jobs.collect();
        }
        // Removes from the last entry to the first, so that no other entry becomes the head.
        let ended_before = self.effects.ended.len();
        for position in (0..self.lane.entries.len()).rev() {
            let error = JobError::new(
                "cancelled",
                "a newer message of the session replaced the job",
            );
            self.remove(
                position,
                JobEnd {
                    status: Status::Cancelled,
                    error: Some(error),
                    settled_fence: None,
                },
            );
        }
        self.effects.ended[ended_before..].reverse();
    }

    /// Inserts a new entry at the end of the lane, or, if it has tool results, before the unclaimed messages.
    fn insert(&mut self, entry: Entry) {
        let position = if entry.is_tool_results {
            // A claimed head stays the head, because an attempt may still finish it, and only the head can be finished.
            let stays_before = |other: &&Entry| other.claimed || other.is_tool_results;
            self.lane.entries.iter().take_while(stays_before).count()
        } else {
            self.lane.entries.len()
        };
        if position > 0 {
            let ends_hold = entry.is_tool_results;
            self.set_timer(entry.job, entry.deadline);
            self.lane.entries.insert(position, entry);
            if ends_hold {
                self.end_hold();
            }
            return;
        }
        if let Some(displaced) = self.lane.entries.first_mut() {
            displaced.state = State::Queued { not_before: None };
            let (job, deadline) = (displaced.job, displaced.deadline);
            self.set_timer(job, deadline);
        }
        self.lane.entries.insert(0, entry);
        self.wake_or_hold_head();
    }
}
