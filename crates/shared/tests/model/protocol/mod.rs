//! The one place where the model meets the code: `lane::apply`, called with real lanes, events and
//! times, and its answers read back into the small values of the model.
//!
//! Since `apply` is pure, an answer is remembered and the same question not asked twice.

mod answer;
mod question;
mod times;

use std::{collections::HashMap, hash::BuildHasherDefault};

use forebay_shared::{
    ids::{JobId, ProcessId, TenantId},
    lane::{Refused, apply},
    time::TimeMs,
};

use self::{
    question::mark,
    times::{NOW, SKEW_MS},
};
use crate::{
    configuration::Configuration,
    hash::Mixer,
    state::{Call, DEAD, JOBS, Lane, Life, Timer},
};

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
