//! The limits that are set for a tenant.

use serde::{Deserialize, Serialize};

use crate::document::{Document, DocumentVersion, UnknownFields};

/// The highest quota.
pub const QUOTA_MAX: u32 = 1_000_000_000;
/// The longest window, in seconds: a day.
pub const WINDOW_S_MAX: u32 = 86_400;

/// The limits of a tenant. A limit that is not set does not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantLimits {
    /// The version of the document's form.
    #[serde(default)]
    pub v: DocumentVersion,
    /// How many requests to submit or retry a job, or to write or fork a session, the tenant may make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestLimit>,
    /// How many live jobs the tenant may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_jobs: Option<LiveJobLimit>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The most requests in a window. A window begins with its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLimit {
    /// The most requests, 1 to [`QUOTA_MAX`].
    pub quota: u32,
    /// The length of the window in seconds, 1 to [`WINDOW_S_MAX`].
    pub window_s: u32,
}

impl RequestLimit {
    /// The length of the window in milliseconds.
    #[must_use]
    pub fn window_ms(&self) -> u64 {
        u64::from(self.window_s) * 1_000
    }
}

/// The most live jobs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveJobLimit {
    /// The most jobs, 1 to [`QUOTA_MAX`].
    pub quota: u32,
}

impl Document for TenantLimits {
    const NAME: &'static str = "limits of a tenant";

    fn version(&self) -> DocumentVersion {
        self.v
    }
}
