//! Converts the results of `lane::apply` to the small values of the model.

use forebay_shared::{
    job::Status,
    lane::{self, ClaimResult, Effects},
};

use super::{
    change::ModelChange,
    ids::{job_number, process_id},
    times::{DEADLINE, DEFERRED_UNTIL, NOW, OVERDUE, not_before_at},
};
use crate::state::{DEAD, Entry, EntryState, JobStatus, Lane, NotBefore, Outcome, Timer};

pub(super) fn model_change(before: &Lane, after: &lane::Lane, effects: &Effects) -> ModelChange {
    let mut change = ModelChange::default();
    change.lane.hold = after.hold_until.map_or(NotBefore::None, not_before_at);
    for (position, entry) in after.entries.iter().enumerate() {
        change.lane.len += 1;
        change.lane.buffer[position] = model_entry(entry);
    }
    for (job, timer) in &effects.timers {
        let job = job_number(*job);
        let deadline = if before.find(job).is_some_and(|entry| entry.is_past_deadline) {
            OVERDUE
        } else {
            DEADLINE
        };
        change.timers[usize::from(job)] = Some(match timer {
            None => Timer::None,
            Some(at) => {
                assert!(*at <= deadline, "the timer is after the job's deadline");
                if *at == DEADLINE {
                    Timer::AtDeadline
                } else if *at == DEFERRED_UNTIL {
                    // The sweeper resumes a deferred job long before this timer is due.
                    Timer::Parked
                } else {
                    Timer::MayBeDue
                }
            }
        });
    }
    for ended in &effects.ended {
        let outcome = &mut change.outcomes[usize::from(job_number(ended.entry.job))];
        assert!(outcome.is_none(), "the job ends twice in one commit");
        *outcome = Some(Outcome {
            status: job_status(ended.status),
            fence: ended.entry.fence as u8,
            settled_fence: ended.settled_fence as u8,
        });
    }
    change.wake = effects.wake.map(job_number);
    change.session_grows = effects.keep_turns || !effects.keep_inputs.is_empty();
    match effects.claim {
        Some(ClaimResult::Granted { fence }) => change.granted_fence = Some(fence as u8),
        Some(ClaimResult::NotDue { .. }) => change.not_due = true,
        None => {}
    }
    change
}

fn model_entry(entry: &lane::Entry) -> Entry {
    let state = match &entry.state {
        lane::State::Queued { not_before } => {
            EntryState::Queued(not_before.map_or(NotBefore::None, not_before_at))
        }
        lane::State::Deferred(deferral) => EntryState::Deferred {
            is_wait_over: deferral.until <= NOW,
        },
        lane::State::Running { worker, .. } => {
            let process = (0..=DEAD).find(|process| process_id(*process) == *worker);
            EntryState::Running(process.expect("the worker is a process of this configuration"))
        }
    };
    Entry {
        job: job_number(entry.job),
        fence: u8::try_from(entry.fence).expect("a configuration has fewer than 256 attempts"),
        settled_fence: entry.settled_fence as u8,
        tries: entry.tries as u8,
        state,
        claimed: entry.claimed,
        is_tool_results: entry.is_tool_results,
        is_past_deadline: entry.deadline < NOW,
    }
}

fn job_status(status: Status) -> JobStatus {
    match status {
        Status::Completed => JobStatus::Completed,
        Status::Failed => JobStatus::Failed,
        Status::Cancelled => JobStatus::Cancelled,
        Status::Expired => JobStatus::Expired,
        Status::Queued | Status::InProgress => panic!("an ended job has the status of a live job"),
    }
}
