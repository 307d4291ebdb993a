//! The small part of a job's record that every read of the job needs.

use serde::{Deserialize, Serialize};

use crate::{
    class::Class,
    document::{Document, DocumentVersion, UnknownFields},
    ids::{JobId, LaneKey, SessionId, TenantId},
    time::TimeMs,
};

/// The metadata of a job, written at its admission and again at each repair. Each poll reads it, so the request,
/// which may be large, is a separate document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobMeta {
    /// The version of the document's form.
    #[serde(default)]
    pub v: DocumentVersion,
    /// The job.
    pub id: JobId,
    /// The tenant that owns the job.
    pub tenant: TenantId,
    /// The session that the job belongs to, if any.
    pub session: Option<SessionId>,
    /// The name of the model, from the client or the default.
    pub model: String,
    /// How urgent the job is.
    pub class: Class,
    /// When the job was accepted.
    pub created_at: TimeMs,
    /// When the job expires unless it has ended.
    pub expires_at: TimeMs,
    /// When the job was last repaired, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_at: Option<TimeMs>,
    /// Whether the job's input consists of tool results. An early release did not store this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_tool_results: bool,
    /// The client's metadata: at most 16 short texts, which responses return unchanged.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// The earliest time at which the record may be deleted, because an idempotency key refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_until: Option<TimeMs>,
    /// The turns that the job replaces, if it replaces any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ReplacedTurns>,
    /// The W3C trace context of the submit: its span, or the client's span if no traces are exported. Every attempt and its
    /// provider call join this trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The turns of a session that a job replaces, as the session was when the job was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedTurns {
    /// When the session was created. A session that was deleted and created again uses the same numbers.
    pub session_created_at: TimeMs,
    /// The number of the first turn to replace.
    pub from_turn: u64,
    /// The number that the next turn of the session would get.
    pub next_turn: u64,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Document for JobMeta {
    const NAME: &'static str = "job record";

    fn version(&self) -> DocumentVersion {
        self.v
    }
}

impl JobMeta {
    /// How long the job may live, in milliseconds, from its admission or its last repair on.
    #[must_use]
    pub fn lifetime_ms(&self) -> u64 {
        self.expires_at.since_ms(self.admitted_at())
    }

    /// When the job was admitted, or last repaired.
    #[must_use]
    pub fn admitted_at(&self) -> TimeMs {
        self.retried_at.unwrap_or(self.created_at)
    }

    /// The lane of the job.
    #[must_use]
    pub fn lane(&self) -> LaneKey {
        LaneKey::of(&self.tenant, self.session.as_ref(), self.id)
    }
}
