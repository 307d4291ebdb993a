//! What the handlers share: the member of the fleet, the settings, and the bounds that count.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use forebay_runtime::member::Member;
use forebay_shared::{
    class::Class,
    ids::{JobId, TenantId},
    store::JobRecord,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission, body::BodyRoom, patience, problem::Problem, settings::GatewaySettings,
};

/// The longest pause between two polls that is advised, in seconds.
const POLL_S_MAX: u64 = 10;

/// What the handlers share.
pub(crate) struct Api {
    pub(crate) member: Arc<Member>,
    pub(crate) settings: GatewaySettings,
    /// Whose everything is, until tenants have keys.
    pub(crate) tenant: TenantId,
    pub(crate) admission: Admission,
    /// Room for bodies in memory.
    pub(crate) bodies: BodyRoom,
    /// Room for requests that wait for a job to end.
    pub(crate) waits: Semaphore,
    /// Cancelled when the gateway stops: whoever waits answers with what is known.
    pub(crate) stop: CancellationToken,
}

impl Api {
    pub(crate) fn new(
        member: Arc<Member>,
        settings: GatewaySettings,
        stop: CancellationToken,
    ) -> Self {
        Self {
            tenant: TenantId::default(),
            admission: Admission::new(settings.backlog_max),
            bodies: BodyRoom::new(&settings),
            waits: Semaphore::new(settings.waits_max.min(Semaphore::MAX_PERMITS)),
            member,
            settings,
            stop,
        }
    }

    /// A job of the tenant, as it stands.
    pub(crate) async fn read_job(&self, job: JobId) -> Result<Option<JobRecord>, Problem> {
        patience::within(self.member.store.job(&self.tenant, job)).await
    }

    /// When it makes sense to look at a job of this class again, in seconds, as things go.
    pub(crate) fn poll_after_s(&self, class: Class) -> u64 {
        let gauge = &self.member.gauge;
        if gauge.drained_per_s(class) <= 0.0 {
            // Nothing has been measured: most likely the job is the first in a while.
            return 1;
        }
        gauge
            .expected_wait_ms(class)
            .div_ceil(1_000)
            .clamp(1, POLL_S_MAX)
    }
}

/// Says when to come back (RFC 9110, 10.2.3).
pub(crate) fn set_retry_after(headers: &mut HeaderMap, seconds: u64) {
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
}
