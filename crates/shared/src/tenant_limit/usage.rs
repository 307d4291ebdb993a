//! The document of what a tenant has used of its limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    document::{Document, DocumentVersion, UnknownFields},
    ids::ProcessId,
    time::TimeMs,
};

/// What a tenant has used of its limits, and what the gateways have leased.
///
/// A tenant that has made no request lately has no document. [`TenantUsage::default`] stands for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantUsage {
    /// The version of the document's form.
    #[serde(default)]
    pub v: DocumentVersion,
    /// The current window of the request limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<UsageWindow>,
    /// The leases, by gateway process.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leases: BTreeMap<ProcessId, UsageLease>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// A window of the request limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageWindow {
    /// When its first request came. It ends after [`RequestLimit::window_s`](super::RequestLimit::window_s).
    pub begins_at: TimeMs,
    /// The permits that were spent in it, or lost. Those that are leased are not included.
    pub used: u64,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The permits of one gateway process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLease {
    /// The permits for requests in the current window.
    #[serde(default)]
    pub requests: u64,
    /// The permits for live jobs: those for jobs that are being admitted, and those that are free.
    #[serde(default)]
    pub live: u64,
    /// When the lease expires. The permits for requests then count as used, and those for live jobs are free again.
    pub until: TimeMs,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Document for TenantUsage {
    const NAME: &'static str = "usage of a tenant";

    fn version(&self) -> DocumentVersion {
        self.v
    }
}
