//! The state that all handlers share: the fleet member, the settings, and the bounds on memory and
//! waiting requests.

use std::{sync::Arc, time::Duration};

use forebay_runtime::member::Member;
use forebay_shared::{
    class::Class,
    ids::{JobId, TenantId},
    store::{Counts, JobRecord},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission, problem::Problem, request_body::BodyReader, retry_after,
    settings::GatewaySettings, store_call,
};

/// Counts of this age or older are not shown. Then they are read from the store, so the client gets an error if the store
/// is unavailable.
const COUNTS_AGE_MAX: Duration = Duration::from_secs(3);

/// The state that all handlers share.
pub(crate) struct ApiState {
    pub(crate) member: Arc<Member>,
    pub(crate) settings: GatewaySettings,
    /// The tenant of every request. There are no API keys yet, so there is only one tenant.
    pub(crate) tenant: TenantId,
    pub(crate) admission: Admission,
    pub(crate) bodies: BodyReader,
    /// One permit for each request that may wait for a job to end.
    pub(crate) wait_permits: Semaphore,
    /// Cancelled when the gateway stops. Waiting requests then answer at once.
    pub(crate) stop: CancellationToken,
}

impl ApiState {
    pub(crate) fn new(
        member: Arc<Member>,
        settings: GatewaySettings,
        stop: CancellationToken,
    ) -> Self {
        Self {
            tenant: TenantId::default(),
            admission: Admission::new(settings.backlog_max),
            bodies: BodyReader::new(&settings),
            wait_permits: Semaphore::new(settings.waits_max.min(Semaphore::MAX_PERMITS)),
            member,
            settings,
            stop,
        }
    }

    /// Reads a job of the tenant from the store.
    pub(crate) async fn read_job(&self, job: JobId) -> Result<Option<JobRecord>, Problem> {
        store_call::with_timeout(self.member.store.job(&self.tenant, job)).await
    }

    /// The counts of all jobs, at most [`COUNTS_AGE_MAX`] old.
    pub(crate) async fn counts(&self) -> Result<Arc<Counts>, Problem> {
        match self.member.gauge.counts() {
            Some((counts, age)) if age < COUNTS_AGE_MAX => Ok(counts),
            _ => store_call::with_timeout(self.member.store.counts())
                .await
                .map(Arc::new),
        }
    }

    /// The advised pause before the next poll of a job of this class, in seconds.
    pub(crate) fn poll_after_s(&self, class: Class) -> u64 {
        retry_after::poll_after_s(&self.member.gauge, class)
    }
}
