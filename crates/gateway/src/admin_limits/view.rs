//! The limits of a tenant as the API shows them.

use forebay_shared::{ids::TenantId, tenant_limit::TenantLimits};
use schemars::JsonSchema;
use serde::Serialize;

/// The limits of a tenant. A limit that is null does not apply.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TenantLimits")]
pub(crate) struct LimitsView {
    tenant: TenantId,
    /// The most requests to submit or retry a job, or to write or fork a session, in a window of time.
    requests: Option<RequestsView>,
    /// The most jobs that may be live at the same time.
    live_jobs: Option<LiveJobsView>,
    /// Where the limits are set: `api` or `keys_file`.
    #[schemars(extend("enum" = ["api", "keys_file"]))]
    source: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RequestLimit")]
struct RequestsView {
    quota: u32,
    window_s: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LiveJobLimit")]
struct LiveJobsView {
    quota: u32,
}

impl LimitsView {
    /// Limits of the store.
    pub(super) fn stored(tenant: TenantId, limits: &TenantLimits) -> Self {
        Self::new(tenant, limits, "api")
    }

    /// Limits of the keys file.
    pub(super) fn of_file(tenant: TenantId, limits: &TenantLimits) -> Self {
        Self::new(tenant, limits, "keys_file")
    }

    fn new(tenant: TenantId, limits: &TenantLimits, source: &'static str) -> Self {
        Self {
            tenant,
            requests: limits.requests.map(|limit| RequestsView {
                quota: limit.quota,
                window_s: limit.window_s,
            }),
            live_jobs: limits
                .live_jobs
                .map(|limit| LiveJobsView { quota: limit.quota }),
            source,
        }
    }
}
