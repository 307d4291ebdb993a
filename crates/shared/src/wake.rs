//! The job message: "the head of this lane can run".
//!
//! It identifies the job and carries no prompt. It may have a copy of its lane, which saves the claim a read. It may be lost or
//! duplicated without harm: the job's timer requests a lost wake again, and a lane grants one claim at a time. The broker
//! stores the message as JSON. Unknown fields are ignored. A process that publishes a received message again drops them.

mod lane_copy;

use serde::{Deserialize, Serialize};

pub use lane_copy::LaneCopy;

use crate::{
    account::AccountKey,
    class::Class,
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    time::TimeMs,
};

/// A message to the workers: the head of a lane can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The version of the message's form. A worker moves a message of an unknown version to another queue.
    pub v: u32,
    /// The job at the head of the lane.
    pub job: JobId,
    /// The tenant that owns the job.
    pub tenant: TenantId,
    /// The session of the lane; absent for a job without a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The class of the job. Each class has a queue of its own.
    pub class: Class,
    /// The model of the job, if the sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The permit that the sweeper has taken for this wake, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<WakePermit>,
    /// When the job entered its lane.
    pub admitted_at: TimeMs,
    /// When the wake was requested.
    pub sent_at: TimeMs,
    /// The lane when the wake was requested, if it is small. A worker that finds the lane unchanged claims the job without reading
    /// the lane first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_copy: Option<LaneCopy>,
    /// The W3C trace context of the span that sends the wake, if it belongs to a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// A permit that the sweeper has taken for the job of a wake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakePermit {
    /// The account. A permit of a model's account comes with one of its provider's account.
    pub account: AccountKey,
    /// The process that took the permit.
    pub process: ProcessId,
}

impl WakePermit {
    /// How long after [`Wake::sent_at`] the permit may be used, in milliseconds. Without this limit, the permits of wakes
    /// that wait for a worker would be used all at once.
    pub const VALID_MS: u64 = 2_000;

    /// Whether the wake carries a permit of this account.
    #[must_use]
    pub fn covers(&self, account: &AccountKey) -> bool {
        self.account == *account || self.account.provider() == account.as_str()
    }
}

impl Wake {
    /// The version that this release writes and reads.
    pub const VERSION: u32 = 1;

    /// The lane of the job.
    #[must_use]
    pub fn lane(&self) -> LaneKey {
        LaneKey::of(&self.tenant, self.session.as_ref(), self.job)
    }
}
