//! The one place where the model meets the code: `lane::apply`, called with real lanes, events and
//! times, and its answers read back into the small values of the model.
//!
//! The store's clock stands still; a moment is `later` or `passed` by its distance from it. Since
//! `apply` is pure, an answer is remembered and the same question not asked twice.

use std::{
    collections::{BTreeSet, HashMap},
    hash::BuildHasherDefault,
    sync::Arc,
};

use forebay_shared::{
    class::Class,
    ids::{JobId, ProcessId, TenantId},
    job::{JobError, Status},
    lane::{
        self, Admit, Claim, Effects, Event, IfBusy, Mark, Presence, Refused, TAKEOVERS_MAX, apply,
    },
    time::TimeMs,
};

use crate::{
    configuration::{Configuration, Kind},
    hash::Mixer,
    state::{Call, DEAD, Doing, Entry, JOBS, Lane, Life, Pause, Timer},
};

const NOW: TimeMs = TimeMs(1_000_000_000);
/// How far a clock that is wrong is off: beyond every pause, within every limit.
const SKEW_MS: u64 = 1_000;
const RETRY_MS: u64 = 100;
const HOLD_MS: u64 = 200;
const LIMIT_MS: u64 = 500_000;
const DEADLINE: TimeMs = NOW.plus_ms(900_000_000);
const OVERDUE: TimeMs = TimeMs(NOW.0 - 900_000);

/// An event, in the model's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Happening {
    Submit { kind: u8 },
    Repair,
    Claim { process: u8, asked: Option<u8> },
    Settle { call: Call, fence: u8 },
    Cancel,
    Tick(Sight),
}

/// What a sweeper sees of a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sight {
    /// Its worker is there, or nobody may be judged gone.
    AtWork,
    /// Its worker is gone.
    Gone,
    /// So too, as so many workers of the job before.
    GoneOnceTooOften,
    /// Its worker is there, but has had the job for too long.
    PastLimit,
}

/// Whose clock an event was timed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Clock {
    True,
    /// What is later seems to have passed.
    Ahead,
    /// What has passed seems to be later.
    Behind,
}

/// What an answer of `apply` comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) lane: Lane,
    /// What each timer is set to, if it is.
    pub(crate) timers: [Option<Timer>; JOBS],
    pub(crate) wake: Option<u8>,
    /// How each job ended, if it did: its life, its fence, what settled it.
    pub(crate) ended: [Option<(Life, u8, u8)>; JOBS],
    /// Whether the session grows: by the turns of a reply, or by inputs that are kept.
    pub(crate) session_grows: bool,
    /// The fence that a claim was granted.
    pub(crate) granted: Option<u8>,
    not_due: bool,
}

impl Change {
    /// Whether a claim was answered that it comes too early.
    pub(crate) const fn is_not_due(&self) -> bool {
        self.not_due
    }

    /// Whether nothing is changed: the call was a repeat.
    pub(crate) fn is_nothing(&self, lane: &Lane) -> bool {
        self.lane == *lane
            && self.timers == [None; JOBS]
            && self.wake.is_none()
            && self.ended == [None; JOBS]
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    lane: Lane,
    record: Option<(Life, u8, u8)>,
    job: u8,
    happening: Happening,
    clock: Clock,
}

/// `lane::apply` and what is planted around it.
pub(crate) struct Protocol {
    configuration: Configuration,
    ids: [JobId; JOBS],
    processes: Vec<ProcessId>,
    answers: HashMap<Question, Result<Change, Refused>, BuildHasherDefault<Mixer>>,
}

impl Protocol {
    pub(crate) fn new(configuration: Configuration) -> Self {
        Self {
            configuration,
            ids: std::array::from_fn(|n| id(n as u8)),
            processes: (0..=DEAD).map(process).collect(),
            answers: HashMap::default(),
        }
    }

    /// What becomes of the lane when this happens to this job.
    pub(crate) fn apply(
        &mut self,
        lane: &Lane,
        record: Option<(Life, u8, u8)>,
        job: u8,
        happening: Happening,
        clock: Clock,
    ) -> Result<Change, Refused> {
        let question = Question {
            lane: *lane,
            record,
            job,
            happening,
            clock,
        };
        if let Some(answer) = self.answers.get(&question) {
            return *answer;
        }
        let answer = self.ask(&question);
        self.answers.insert(question, answer);
        answer
    }

    fn ask(&self, question: &Question) -> Result<Change, Refused> {
        let mutations = self.configuration.mutations;
        let mut event = self.event(question);
        let mut record = question.record.map(mark);
        let mut before = self.lane(question);
        for mutation in mutations {
            mutation.before(&mut before, &mut record, &mut event);
        }
        let now = match question.clock {
            Clock::True => NOW,
            Clock::Ahead => NOW.plus_ms(SKEW_MS),
            Clock::Behind => TimeMs(NOW.0 - SKEW_MS),
        };
        let (after, effects) = apply(&before, record, &event, now)?;
        let mut change = self.change(&question.lane, &after, &effects);
        for mutation in mutations {
            mutation.after(&question.lane, &event, &mut change);
        }
        Ok(change)
    }

    fn event(&self, question: &Question) -> Event {
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

    fn settling(&self, job: JobId, call: Call, fence: u64) -> Event {
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

    fn lane(&self, question: &Question) -> lane::Lane {
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

    fn entry(&self, entry: &Entry, sight: Sight) -> lane::Entry {
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

    fn change(&self, before: &Lane, after: &lane::Lane, effects: &Effects) -> Change {
        let mut change = Change::default();
        change.lane.hold = after.hold_until.map_or(Pause::None, pause);
        for (place, entry) in after.entries.iter().enumerate() {
            change.lane.len += 1;
            change.lane.slots[place] = self.read(entry);
        }
        for (job, timer) in &effects.timers {
            let job = number(*job);
            let deadline = if before.find(job).is_some_and(|entry| entry.overdue) {
                OVERDUE
            } else {
                DEADLINE
            };
            change.timers[usize::from(job)] = Some(match timer {
                None => Timer::None,
                Some(at) => {
                    assert!(*at <= deadline, "the job would not expire in time");
                    if *at == DEADLINE {
                        Timer::Never
                    } else {
                        Timer::Later
                    }
                }
            });
        }
        for ending in &effects.ended {
            let life = life(ending.status);
            let (fence, settled) = (ending.entry.fence as u8, ending.settled as u8);
            let ended = &mut change.ended[usize::from(number(ending.entry.job))];
            assert!(ended.is_none(), "it ends twice in one commit");
            *ended = Some((life, fence, settled));
        }
        change.wake = effects.wake.map(number);
        change.session_grows = effects.keep_turns || !effects.keep_inputs.is_empty();
        match effects.claim {
            Some(Claim::Granted { fence }) => change.granted = Some(fence as u8),
            Some(Claim::NotDue { .. }) => change.not_due = true,
            None => {}
        }
        change
    }

    fn read(&self, entry: &lane::Entry) -> Entry {
        let doing = match &entry.state {
            lane::State::Queued { not_before } => {
                Doing::Queued(not_before.map_or(Pause::None, pause))
            }
            lane::State::Running { worker, .. } => {
                let known = self.processes.iter().position(|process| process == worker);
                Doing::Running(known.expect("a process of this world") as u8)
            }
        };
        Entry {
            job: number(entry.job),
            fence: u8::try_from(entry.fence).expect("few attempts are made in a small world"),
            settled: entry.settled as u8,
            tries: entry.tries as u8,
            doing,
            claimed: entry.claimed,
            results: entry.tool_results,
            overdue: entry.deadline < NOW,
        }
    }
}

/// The model's number of a job.
pub(crate) fn number(job: JobId) -> u8 {
    (0..JOBS as u8)
        .find(|n| id(*n) == job)
        .expect("a job of this world")
}

fn id(n: u8) -> JobId {
    JobId::from_uuid(
        uuid::Uuid::from_u128(u128::from(n)),
        &TenantId::default(),
        None,
    )
}

fn process(n: u8) -> ProcessId {
    ProcessId::parse(&format!("process-{n}")).expect("a valid name")
}

fn moment(pause: Pause) -> Option<TimeMs> {
    match pause {
        Pause::None => None,
        Pause::RetryLater => Some(NOW.plus_ms(RETRY_MS)),
        Pause::RetryPassed => Some(TimeMs(NOW.0 - RETRY_MS)),
        Pause::HoldLater => Some(NOW.plus_ms(HOLD_MS)),
        Pause::HoldPassed => Some(TimeMs(NOW.0 - HOLD_MS)),
    }
}

fn pause(at: TimeMs) -> Pause {
    [
        Pause::RetryLater,
        Pause::RetryPassed,
        Pause::HoldLater,
        Pause::HoldPassed,
    ]
    .into_iter()
    .find(|pause| moment(*pause) == Some(at))
    .expect("a moment of this world")
}

fn life(status: Status) -> Life {
    match status {
        Status::Completed => Life::Completed,
        Status::Failed => Life::Failed,
        Status::Cancelled => Life::Cancelled,
        Status::Expired => Life::Expired,
        Status::Queued | Status::InProgress => panic!("it has not ended"),
    }
}

fn mark((life, fence, settled): (Life, u8, u8)) -> Mark {
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
