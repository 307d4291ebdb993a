//! Converts the small values of the model to real lanes, events and outcomes for `lane::apply`.

use std::{collections::BTreeSet, sync::Arc};

use forebay_shared::{
    account::AccountKey,
    class::Class,
    document::UnknownFields,
    ids::JobId,
    job::{JobError, Status},
    lane::{
        self, Admit, Deferral, Event, IfBusy, LiveProcesses, OutcomeSummary, ReleaseReason,
        TAKEOVERS_MAX,
    },
};

use super::{
    event::{ApplyInput, ModelEvent, WorkerPresence},
    ids::{job_id, process_id},
    times::{
        BACKOFF_MS, CLAIM_LIMIT_MS, DEADLINE, DEFERRED_UNTIL, HOLD_MS, NOW, OVERDUE, real_time,
    },
};
use crate::{
    configuration::{Configuration, SubmitKind},
    state::{Entry, EntryState, JobStatus, Outcome, Settlement},
};

pub(super) fn real_event(configuration: &Configuration, input: &ApplyInput) -> Event {
    let job = job_id(input.job);
    let admit = |kind, is_repair| {
        Event::Admit(Admit {
            job,
            class: Class::Interactive,
            model: None,
            deadline: DEADLINE,
            is_tool_results: kind == SubmitKind::ToolResults,
            if_busy: match kind {
                SubmitKind::Message | SubmitKind::ToolResults => IfBusy::Enqueue,
                SubmitKind::Reject => IfBusy::Reject,
                SubmitKind::Rollback => IfBusy::Rollback,
                SubmitKind::Interrupt => IfBusy::Interrupt,
            },
            is_repair,
        })
    };
    match input.event {
        ModelEvent::Submit { kind_index } => {
            let submit_kinds = configuration.submit_kinds[usize::from(input.job)];
            admit(submit_kinds[usize::from(kind_index)], false)
        }
        ModelEvent::Repair => admit(SubmitKind::Message, true),
        ModelEvent::Claim {
            process,
            repeated_fence,
        } => Event::Claim {
            job,
            worker: process_id(process),
            repeated_fence: repeated_fence.map(u64::from),
            limit_ms: CLAIM_LIMIT_MS,
        },
        ModelEvent::Settle { settlement, fence } => {
            real_settlement(configuration, job, settlement, u64::from(fence))
        }
        ModelEvent::Cancel => Event::Cancel { job },
        ModelEvent::Defer => defer(job, None),
        ModelEvent::Resume => Event::Resume { job },
        ModelEvent::Tick(presence) => {
            let gone = matches!(
                presence,
                WorkerPresence::Gone | WorkerPresence::GoneAtTakeoverLimit
            );
            // Without a list, a tick treats no worker as gone; with an empty list, every worker.
            let live = gone.then(|| LiveProcesses {
                read_at: NOW,
                alive: Arc::new(BTreeSet::new()),
            });
            Event::Tick { job, live }
        }
    }
}

/// The job waits for its provider. `fence` is the fence of the attempt that ends; `None` if no worker has claimed the job.
fn defer(job: JobId, fence: Option<u64>) -> Event {
    Event::Defer {
        job,
        fence,
        account: AccountKey::of_provider("provider"),
        error: JobError::new("planned", ""),
    }
}

fn real_settlement(
    configuration: &Configuration,
    job: JobId,
    settlement: Settlement,
    fence: u64,
) -> Event {
    let error = JobError::new("planned", "");
    match settlement {
        Settlement::Finish => Event::Finish {
            job,
            fence,
            error: None,
            hold_ms: None,
        },
        Settlement::FinishWithTools => Event::Finish {
            job,
            fence,
            error: None,
            hold_ms: Some(HOLD_MS),
        },
        Settlement::Fail => Event::Finish {
            job,
            fence,
            error: Some(error),
            hold_ms: None,
        },
        Settlement::Retry => Event::Retry {
            job,
            fence,
            not_before: NOW.plus_ms(BACKOFF_MS),
            tries_max: u32::from(configuration.retries) + 1,
            error,
        },
        Settlement::Defer => defer(job, Some(fence)),
        Settlement::Release => Event::Release {
            job,
            fence,
            reason: ReleaseReason::WorkerStops,
        },
    }
}

pub(super) fn real_lane(input: &ApplyInput) -> lane::Lane {
    let presence = match input.event {
        ModelEvent::Tick(presence) => presence,
        _ => WorkerPresence::Present,
    };
    let entries = input.lane.entries().iter();
    lane::Lane {
        entries: entries.map(|entry| real_entry(entry, presence)).collect(),
        hold_until: real_time(input.lane.hold),
        ..lane::Lane::default()
    }
}

fn real_entry(entry: &Entry, presence: WorkerPresence) -> lane::Entry {
    let state = match entry.state {
        EntryState::Queued(not_before) => lane::State::Queued {
            not_before: real_time(not_before),
        },
        EntryState::Deferred { is_wait_over } => lane::State::Deferred(Box::new(Deferral {
            account: AccountKey::of_provider("provider"),
            error: JobError::new("planned", ""),
            until: if is_wait_over {
                OVERDUE
            } else {
                DEFERRED_UNTIL
            },
        })),
        EntryState::Running(process) => lane::State::Running {
            worker: process_id(process),
            until: if presence == WorkerPresence::PresentPastTimeLimit {
                OVERDUE
            } else {
                NOW.plus_ms(CLAIM_LIMIT_MS)
            },
        },
    };
    lane::Entry {
        job: job_id(entry.job),
        class: Class::Interactive,
        model: None,
        fence: u64::from(entry.fence),
        settled_fence: u64::from(entry.settled_fence),
        state,
        deadline: if entry.is_past_deadline {
            OVERDUE
        } else {
            DEADLINE
        },
        is_tool_results: entry.is_tool_results,
        claimed: entry.claimed,
        tries: u32::from(entry.tries),
        takeovers: if presence == WorkerPresence::GoneAtTakeoverLimit {
            TAKEOVERS_MAX
        } else {
            0
        },
        admitted_at: NOW,
        started_at: None,
        attempts: Vec::new(),
        unknown: UnknownFields::NONE,
        unknown_in_state: UnknownFields::NONE,
    }
}

pub(super) fn real_outcome(outcome: Outcome) -> OutcomeSummary {
    let status = match outcome.status {
        JobStatus::Completed => Status::Completed,
        JobStatus::Failed => Status::Failed,
        JobStatus::Cancelled => Status::Cancelled,
        JobStatus::Expired => Status::Expired,
        JobStatus::Absent | JobStatus::Live => panic!("a job that has not ended has no outcome"),
    };
    OutcomeSummary {
        status,
        fence: u64::from(outcome.fence),
        settled_fence: u64::from(outcome.settled_fence),
    }
}
