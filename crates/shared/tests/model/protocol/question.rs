//! The model's lanes and events, as `apply` takes them.

use std::{collections::BTreeSet, sync::Arc};

use forebay_shared::{
    class::Class,
    ids::JobId,
    job::{JobError, Status},
    lane::{self, Admit, Event, IfBusy, Mark, Presence, TAKEOVERS_MAX},
};

use super::{
    Happening, Protocol, Question, Sight,
    times::{DEADLINE, HOLD_MS, LIMIT_MS, NOW, OVERDUE, RETRY_MS, moment},
};
use crate::{
    configuration::Kind,
    state::{Call, Doing, Entry, Life},
};

impl Protocol {
    pub(super) fn event(&self, question: &Question) -> Event {
        let job = self.ids[usize::from(question.job)];
        let admit = |kind, repair| {
            Event::Admit(Admit {
                job,
                class: Class::Interactive,
                deadline: DEADLINE,
                tool_results: kind == Kind::Results,
                if_busy: match kind {
                    Kind::Message | Kind::Results => IfBusy::Enqueue,
                    Kind::Reject => IfBusy::Reject,
                    Kind::Rollback => IfBusy::Rollback,
                    Kind::Interrupt => IfBusy::Interrupt,
                },
                repair,
            })
        };
        match question.happening {
            Happening::Submit { kind } => {
                let kinds = self.configuration.kinds[usize::from(question.job)];
                admit(kinds[usize::from(kind)], false)
            }
            Happening::Repair => admit(Kind::Message, true),
            Happening::Claim { process, asked } => Event::Claim {
                job,
                worker: self.processes[usize::from(process)].clone(),
                asked: asked.map(u64::from),
                limit_ms: LIMIT_MS,
            },
            Happening::Settle { call, fence } => self.settling(job, call, u64::from(fence)),
            Happening::Cancel => Event::Cancel { job },
            Happening::Tick(sight) => {
                let gone = matches!(sight, Sight::Gone | Sight::GoneOnceTooOften);
                let presence = gone.then(|| Presence {
                    at: NOW,
                    alive: Arc::new(BTreeSet::new()),
                });
                Event::Tick { job, presence }
            }
        }
    }

    pub(super) fn settling(&self, job: JobId, call: Call, fence: u64) -> Event {
        let error = JobError::new("planned", "");
        match call {
            Call::Finish => Event::Finish {
                job,
                fence,
                error: None,
                hold_ms: None,
            },
            Call::FinishWithTools => Event::Finish {
                job,
                fence,
                error: None,
                hold_ms: Some(HOLD_MS),
            },
            Call::Fail => Event::Finish {
                job,
                fence,
                error: Some(error),
                hold_ms: None,
            },
            Call::Retry => Event::Retry {
                job,
                fence,
                not_before: NOW.plus_ms(RETRY_MS),
                tries_max: u32::from(self.configuration.retries) + 1,
                error,
            },
            Call::Release => Event::Release { job, fence },
        }
    }

    pub(super) fn lane(&self, question: &Question) -> lane::Lane {
        let sight = match question.happening {
            Happening::Tick(sight) => sight,
            _ => Sight::AtWork,
        };
        let entries = question.lane.entries().iter();
        lane::Lane {
            entries: entries.map(|entry| self.entry(entry, sight)).collect(),
            hold_until: moment(question.lane.hold),
        }
    }

    pub(super) fn entry(&self, entry: &Entry, sight: Sight) -> lane::Entry {
        let state = match entry.doing {
            Doing::Queued(pause) => lane::State::Queued {
                not_before: moment(pause),
            },
            Doing::Running(process) => lane::State::Running {
                worker: self.processes[usize::from(process)].clone(),
                until: if sight == Sight::PastLimit {
                    OVERDUE
                } else {
                    NOW.plus_ms(LIMIT_MS)
                },
            },
        };
        lane::Entry {
            job: self.ids[usize::from(entry.job)],
            class: Class::Interactive,
            fence: u64::from(entry.fence),
            settled: u64::from(entry.settled),
            state,
            deadline: if entry.overdue { OVERDUE } else { DEADLINE },
            tool_results: entry.results,
            claimed: entry.claimed,
            tries: u32::from(entry.tries),
            takeovers: if sight == Sight::GoneOnceTooOften {
                TAKEOVERS_MAX
            } else {
                0
            },
            admitted_at: NOW,
            started_at: None,
            attempts: Vec::new(),
        }
    }
}

/// What the record of a job that has ended says.
pub(super) fn mark((life, fence, settled): (Life, u8, u8)) -> Mark {
    let status = match life {
        Life::Completed => Status::Completed,
        Life::Failed => Status::Failed,
        Life::Cancelled => Status::Cancelled,
        Life::Expired => Status::Expired,
        Life::Absent | Life::Live => panic!("it has no outcome"),
    };
    Mark {
        status,
        fence: u64::from(fence),
        settled: u64::from(settled),
    }
}
