//! A change that somebody wants made to a lane, and what comes of it.

use std::{any::Any, fmt};

use forebay_shared::{
    ids::{JobId, LaneKey, ProcessId},
    job::{JobError, Reply},
    lane::{Admit, Event, LiveProcesses},
    session::TokenMeasure,
    store::{NewJob, Timer, Work},
    time::TimeMs,
    turn::Turn,
};

/// A change that somebody wants made to a lane.
#[derive(Debug)]
pub struct LaneChange {
    /// The lane.
    pub lane: LaneKey,
    /// What happens to it.
    pub event: Event,
    /// What is written along with it.
    pub bring: Bring,
    /// Kept until the change has been made or given up: the permit that its documents take in memory.
    pub permit: Option<HeldPermit>,
}

/// Something whose drop gives permit in memory back.
pub struct HeldPermit(#[expect(dead_code, reason = "held, not read")] Box<dyn Any + Send>);

impl fmt::Debug for HeldPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldPermit")
    }
}

/// What is written along with a change.
#[derive(Debug)]
pub enum Bring {
    /// Nothing.
    Nothing,
    /// The record of an admitted job.
    Job(Box<NewJob>),
    /// What an attempt came to.
    Attempt(Box<AttemptOutput>),
    /// The timer that made the sweeper look; the tick moves it only if it is still this one.
    Timer(TimeMs),
}

/// What an attempt came to.
#[derive(Clone, Debug, Default)]
pub struct AttemptOutput {
    /// The reply, of a completed job.
    pub reply: Option<Reply>,
    /// The provider that was asked.
    pub provider: Option<String>,
    /// The turns that go into the session if the job completes: what closes open tool calls, its
    /// input, its reply.
    pub turns: Vec<Turn>,
    /// What the provider's count of tokens said.
    pub measure: Option<TokenMeasure>,
}

/// What came of a change that was made.
#[derive(Debug)]
pub enum Applied {
    /// It was made, or had been made before.
    Done,
    /// The claim was granted.
    Claimed {
        /// What every later call about this attempt carries.
        fence: u64,
        /// When the attempt must have settled.
        until: TimeMs,
        /// Which attempt at the job this is, counted from 1.
        attempt: u32,
        /// How often the provider has failed the job before.
        tries: u32,
        /// What the worker needs.
        work: Box<Work>,
    },
    /// The claim came too early.
    NotDue,
}

impl LaneChange {
    /// A gateway accepts a job.
    #[must_use]
    pub fn admit(job: NewJob, admit: Admit) -> Self {
        Self {
            lane: job.meta.lane(),
            event: Event::Admit(admit),
            bring: Bring::Job(Box::new(job)),
            permit: None,
        }
    }

    /// The same, and `permit` is kept until it has been made or given up.
    #[must_use]
    pub fn holding(mut self, permit: impl Any + Send) -> Self {
        self.permit = Some(HeldPermit(Box::new(permit)));
        self
    }

    /// A worker takes the head of a lane, for `limit_ms` at most.
    #[must_use]
    pub fn claim(lane: LaneKey, job: JobId, worker: ProcessId, limit_ms: u64) -> Self {
        let event = Event::Claim {
            job,
            worker,
            asked: None,
            limit_ms,
        };
        Self {
            lane,
            event,
            bring: Bring::Nothing,
            permit: None,
        }
    }

    /// An attempt ends its job; `error` says why there is no reply. `hold_ms`: how long messages of
    /// the user wait for the results of the tools that the reply calls.
    #[must_use]
    pub fn finish(
        lane: LaneKey,
        job: JobId,
        fence: u64,
        error: Option<JobError>,
        hold_ms: Option<u64>,
        content: AttemptOutput,
    ) -> Self {
        // A lane without a session has nobody who could bring the results.
        let hold_ms = hold_ms.filter(|_| lane.session().is_some());
        let event = Event::Finish {
            job,
            fence,
            error,
            hold_ms,
        };
        Self {
            lane,
            event,
            bring: Bring::Attempt(Box::new(content)),
            permit: None,
        }
    }

    /// An attempt failed; the next begins at `not_before`, unless `tries_max` are used up.
    #[must_use]
    pub fn retry(
        lane: LaneKey,
        job: JobId,
        fence: u64,
        not_before: TimeMs,
        tries_max: u32,
        error: JobError,
        content: AttemptOutput,
    ) -> Self {
        let event = Event::Retry {
            job,
            fence,
            not_before,
            tries_max,
            error,
        };
        Self {
            lane,
            event,
            bring: Bring::Attempt(Box::new(content)),
            permit: None,
        }
    }

    /// A worker that shuts down gives its job back.
    #[must_use]
    pub const fn release(lane: LaneKey, job: JobId, fence: u64) -> Self {
        Self {
            lane,
            event: Event::Release { job, fence },
            bring: Bring::Nothing,
            permit: None,
        }
    }

    /// Somebody gives a job up.
    #[must_use]
    pub const fn cancel(lane: LaneKey, job: JobId) -> Self {
        Self {
            lane,
            event: Event::Cancel { job },
            bring: Bring::Nothing,
            permit: None,
        }
    }

    /// A timer is due.
    #[must_use]
    pub fn tick(timer: Timer, presence: Option<LiveProcesses>) -> Self {
        let event = Event::Tick {
            job: timer.job,
            presence,
        };
        Self {
            lane: timer.lane,
            event,
            bring: Bring::Timer(timer.at),
            permit: None,
        }
    }
}
