//! The job message: "the head of this lane can run".
//!
//! A claim check: it carries no prompt, only what leads to the job, and may be lost or doubled
//! without harm. Its JSON is what stands on the broker.

use serde::{Deserialize, Serialize};

use crate::{
    class::Class,
    ids::{JobId, LaneKey, SessionId, TenantId},
    time::TimeMs,
};

/// The head of a lane can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The version of this form; readers refuse one they do not know.
    pub v: u32,
    /// The head.
    pub job: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The session of the lane, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The queue it goes to.
    pub class: Class,
    /// The model it asks, where the sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// When the job entered its lane.
    pub admitted_at: TimeMs,
    /// When this was asked for.
    pub sent_at: TimeMs,
    /// The W3C trace context of the submit, where the sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Wake {
    /// The version that this release writes and reads.
    pub const VERSION: u32 = 1;

    /// The lane whose head it speaks of.
    #[must_use]
    pub fn lane(&self) -> LaneKey {
        LaneKey::of(&self.tenant, self.session.as_ref(), self.job)
    }
}
