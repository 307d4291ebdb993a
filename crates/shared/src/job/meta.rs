//! The small part of a job that every look at it needs.

use serde::{Deserialize, Serialize};

use crate::{
    class::Class,
    ids::{JobId, LaneKey, SessionId, TenantId},
    time::TimeMs,
};

/// What is known of a job from its admission on and never changes. Read with every poll, so small:
/// the request itself is stored apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobMeta {
    /// The job.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The session whose turn it is, if it belongs to one.
    pub session: Option<SessionId>,
    /// The model that will be asked, as the client or the default named it.
    pub model: String,
    /// How urgent it is.
    pub class: Class,
    /// When it was accepted.
    pub created_at: TimeMs,
    /// The moment after which nobody wants it any more.
    pub expires_at: TimeMs,
    /// The client's own notes: at most 16 short texts, returned as they came.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// The record may not go before this moment: an idempotency key leads to it until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_until: Option<TimeMs>,
    /// The W3C trace context of the submit, so that the call can be joined to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl JobMeta {
    /// The lane it waits in.
    #[must_use]
    pub fn lane(&self) -> LaneKey {
        LaneKey::of(&self.tenant, self.session.as_ref(), self.id)
    }
}
