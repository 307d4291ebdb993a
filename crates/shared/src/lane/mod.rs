//! The lane protocol: the rules of order, fences, retries, cancels and deadlines, as pure functions.
//!
//! A lane is the live jobs of one session, in order; only its head may run. [`apply`] takes a lane and
//! an [`Event`] and says what the lane is afterwards and what has to be done ([`Effects`]). No I/O, no
//! clock, no randomness: jitter, `not_before` and who is gone arrive in the event. Engines commit what
//! it says with a compare-and-set and hold no rule of their own.
//!
//! In reading order: this file (the document), `event.rs`, `effects.rs`, `apply.rs`, then one file for
//! each event.

mod admit;
mod apply;
mod cancel;
mod claim;
mod counts;
mod edit;
mod effects;
mod event;
mod settle;
mod stored;
mod tick;

#[cfg(test)]
mod examples;
#[cfg(test)]
mod properties;

use serde::{Deserialize, Serialize};

use crate::{
    class::Class,
    document::{Document, UnknownFields, Version},
    ids::{JobId, ProcessId},
    job::Attempt,
    time::TimeMs,
};

pub use apply::apply;
pub use counts::{ClassCounts, LaneCounts};
pub use edit::wake_timer;
pub use effects::{Claim, Effects, EndedEntry, Refused};
pub use event::{Admit, Event, IfBusy, LiveProcesses, OutcomeSummary};

/// The most live jobs of one session.
pub const LANE_MAX: usize = 200;
/// The most attempts that are kept of a job, the newest; `n` goes on counting.
pub const ATTEMPTS_MAX: usize = 20;
/// A job whose workers died this often while they ran it fails as `worker_lost`.
pub const TAKEOVERS_MAX: u32 = 10;
/// How long a wake that was just asked for may take before the sweeper asks again.
pub const GRACE_MS: u64 = 3_000;
/// How often the sweeper looks at a running job, and the least time a confirmed wake is trusted.
pub const REVISIT_MS: u64 = 60_000;

/// The live jobs of one session, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// The version of the document's form.
    #[serde(default)]
    pub v: Version,
    /// The head first.
    pub entries: Vec<Entry>,
    /// Until when messages of the user wait for the results of tools that the last reply called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<TimeMs>,
    /// Fields that this release does not know. They go with the lane's last job.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Document for Lane {
    const NAME: &'static str = "lane";

    fn version(&self) -> Version {
        self.v
    }
}

/// A live job in its lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The job.
    pub job: JobId,
    /// How urgent it is.
    pub class: Class,
    /// Rises with every claim and every repair, never falls. Only the newest may settle.
    pub fence: u64,
    /// The newest fence that a retry or a release settled, so that a repeat of it is recognised.
    pub settled: u64,
    /// Whether it waits or runs.
    pub state: State,
    /// When nobody wants it any more.
    pub deadline: TimeMs,
    /// Whether its input is the results of tools, which pass waiting messages.
    pub tool_results: bool,
    /// Whether a worker ever took it since it was admitted. Nothing is put before such a job.
    pub claimed: bool,
    /// Failures of the provider.
    pub tries: u32,
    /// Deaths of its workers.
    pub takeovers: u32,
    /// When it entered the lane.
    pub admitted_at: TimeMs,
    /// When a worker first took it.
    pub started_at: Option<TimeMs>,
    /// What was attempted, at most [`ATTEMPTS_MAX`], oldest first.
    pub attempts: Vec<Attempt>,
    /// Fields of the entry that this release does not know. They go into the job's outcome.
    pub unknown: UnknownFields,
    /// Fields of the stored state that this release does not know. They stay when the state changes.
    pub unknown_in_state: UnknownFields,
}

/// What a live job does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits.
    Queued {
        /// Not before this moment: a retry's pause, or the end of a hold.
        not_before: Option<TimeMs>,
    },
    /// A worker runs it.
    Running {
        /// Which.
        worker: ProcessId,
        /// By when it must have settled.
        until: TimeMs,
    },
}

impl Lane {
    /// The job whose turn it is.
    #[must_use]
    pub fn head(&self) -> Option<&Entry> {
        self.entries.first()
    }

    /// The entry of a job and its place.
    #[must_use]
    pub fn find(&self, job: JobId) -> Option<(usize, &Entry)> {
        self.entries
            .iter()
            .enumerate()
            .find(|(_, entry)| entry.job == job)
    }

    /// Whether there is nothing left to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.hold_until.is_none()
    }

    /// What the head does, for the stores' index of heads.
    #[must_use]
    pub fn head_state(&self) -> Option<HeadState> {
        let head = self.head()?;
        Some(match &head.state {
            State::Running { worker, .. } => HeadState::Running(worker.clone()),
            State::Queued { not_before: None } => HeadState::Ready(head.class),
            State::Queued {
                not_before: Some(_),
            } => HeadState::Waiting,
        })
    }
}

/// What the head of a lane does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadState {
    /// It could run this moment.
    Ready(Class),
    /// It waits for a retry or under a hold.
    Waiting,
    /// This process runs it.
    Running(ProcessId),
}
