//! The lane's document: the live jobs of one session, in order, and the limits of the protocol.

use serde::{Deserialize, Serialize};

use crate::{
    account::AccountKey,
    class::Class,
    document::{Document, DocumentVersion, UnknownFields},
    ids::{JobId, ProcessId},
    job::{Attempt, JobError},
    time::TimeMs,
};

/// The maximum number of live jobs in one session.
pub const LANE_MAX: usize = 200;
/// The maximum number of attempts that a job's entry keeps. The oldest are dropped. The others keep their numbers.
pub const ATTEMPTS_MAX: usize = 20;
/// The maximum number of takeovers of a job. At the next takeover the job fails as `worker_lost`.
pub const TAKEOVERS_MAX: u32 = 10;
/// How long the publish of a wake may take before the sweeper requests the wake again.
pub const PUBLISH_LIMIT_MS: u64 = 3_000;
/// The longest time for which a deferred head waits until the sweeper resumes it, in milliseconds. Then it gets a wake without a
/// permit. So no head waits for ever if its entry in the index of deferred heads was lost.
pub const DEFERRED_MS_MAX: u64 = 3_600_000;
/// The interval at which the sweeper checks a running job, and the shortest time for which a timer is parked.
pub const REVISIT_MS: u64 = 60_000;

/// The live jobs of one session, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// The version of the document's form.
    #[serde(default)]
    pub v: DocumentVersion,
    /// The live jobs, the head first.
    pub entries: Vec<Entry>,
    /// The end of the hold, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<TimeMs>,
    /// Fields that this release does not know. They are deleted with the lane's document, after its last job.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Document for Lane {
    const NAME: &'static str = "lane";

    fn version(&self) -> DocumentVersion {
        self.v
    }
}

/// A live job in its lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The job.
    pub job: JobId,
    /// The job's priority.
    pub class: Class,
    /// The requested model. `None` if the release that admitted the job did not store it.
    pub model: Option<String>,
    /// The newest fence. It rises with every claim and every repair, and only this fence may settle the job.
    pub fence: u64,
    /// The fence of the newest settlement that took effect; 0 if there is none. It identifies a repeat of that
    /// settlement.
    pub settled_fence: u64,
    /// Whether the job is queued, deferred or running.
    pub state: State,
    /// When the job expires.
    pub deadline: TimeMs,
    /// Whether the job's input is tool results. Such a job enters the lane before waiting messages.
    pub is_tool_results: bool,
    /// Whether a worker has claimed the job since its admission. No entry is inserted before a claimed entry.
    pub claimed: bool,
    /// The number of failed tries.
    pub tries: u32,
    /// How often the job was taken from a worker that was gone or past the time limit of its claim.
    pub takeovers: u32,
    /// When the job entered the lane.
    pub admitted_at: TimeMs,
    /// When a worker first claimed the job.
    pub started_at: Option<TimeMs>,
    /// The job's attempts, at most [`ATTEMPTS_MAX`], the oldest first.
    pub attempts: Vec<Attempt>,
    /// Fields of the entry that this release does not know. They go into the job's outcome.
    pub unknown: UnknownFields,
    /// Fields of the stored state that this release does not know. They stay when the state changes.
    pub unknown_in_state: UnknownFields,
}

/// The state of a live job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The job waits.
    Queued {
        /// The earliest time at which the job may run: when its next try is due, or when the hold ends.
        not_before: Option<TimeMs>,
    },
    /// The job waits until its provider may be called again. Only a head is deferred.
    Deferred(Box<Deferral>),
    /// A worker runs the job.
    Running {
        /// The worker.
        worker: ProcessId,
        /// The time by which the worker must settle the job.
        until: TimeMs,
    },
}

/// Why a head is deferred, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deferral {
    /// The account whose permit the job waits for.
    pub account: AccountKey,
    /// The provider's last error.
    pub error: JobError,
    /// When the job gets a wake although the sweeper has not resumed it.
    pub until: TimeMs,
}

impl Lane {
    /// The first job, the only one that may run.
    #[must_use]
    pub fn head(&self) -> Option<&Entry> {
        self.entries.first()
    }

    /// The entry of a job and its position.
    #[must_use]
    pub fn find(&self, job: JobId) -> Option<(usize, &Entry)> {
        self.entries
            .iter()
            .enumerate()
            .find(|(_, entry)| entry.job == job)
    }

    /// Whether the lane has neither a live job nor a hold.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.hold_until.is_none()
    }

    /// The state of the head, for the stores' index of heads.
    #[must_use]
    pub fn head_state(&self) -> Option<HeadState> {
        let head = self.head()?;
        Some(match &head.state {
            State::Running { worker, .. } => HeadState::Running(worker.clone()),
            State::Queued { not_before: None } => HeadState::Ready(head.class),
            State::Deferred(deferral) => HeadState::Deferred(deferral.account.clone(), head.class),
            State::Queued {
                not_before: Some(_),
            } => HeadState::Waiting,
        })
    }
}

/// The state of the head of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadState {
    /// The head can run now.
    Ready(Class),
    /// The head waits for its next try or for the end of a hold.
    Waiting,
    /// The head waits until this account has a permit for it.
    Deferred(AccountKey, Class),
    /// This process runs the head.
    Running(ProcessId),
}
