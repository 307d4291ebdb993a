//! The state that all handlers share: the fleet member, the settings, and the bounds on memory and
//! waiting requests.

use std::{ops::Deref, sync::Arc, time::Duration};

use forebay_runtime::{byte_budget::ReservedBytes, member::Member};
use forebay_shared::{
    class::Class,
    ids::{JobId, TenantId},
    store::{Counts, FoundJob, INLINE_BYTES_MAX, JobRecord},
    time::TimeMs,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission,
    auth::{Caller, ValidKeys},
    problem::Problem,
    problem_code::ProblemCode,
    read_pacer::ReadPacer,
    request_body::BodyReader,
    retry_after,
    settings::GatewaySettings,
    store_call,
    tenant_limits::Limiter,
};

/// Counts of this age or older are not shown. New counts are read from the store instead, so the client gets an error if the
/// store is unavailable.
const COUNTS_AGE_MAX: Duration = Duration::from_secs(3);

/// How many lists of jobs, sessions or API keys a gateway reads at the same time. A list of jobs may read 500 jobs.
const LISTS_AT_ONCE: usize = 2;
/// How long a request may wait for the memory of its response, or for a permit to read a list.
const READ_WAIT: Duration = Duration::from_secs(5);

/// How many bytes of memory are needed for each stored byte of a large outcome: for its text, for the values parsed from it, and for the
/// response.
const BYTES_FOR_EACH_STORED_BYTE: u64 = 4;

/// A job, and the memory that is reserved for it if its outcome is large.
pub(crate) struct ReadJob {
    pub(crate) record: JobRecord,
    pub(crate) reserved: Option<ReservedBytes>,
}

impl Deref for ReadJob {
    type Target = JobRecord;

    fn deref(&self) -> &JobRecord {
        &self.record
    }
}

/// The state that all handlers share.
pub(crate) struct ApiState {
    pub(crate) member: Arc<Member>,
    pub(crate) settings: GatewaySettings,
    pub(crate) admission: Admission,
    pub(crate) bodies: BodyReader,
    /// One permit for each request that may wait for a job to end.
    pub(crate) wait_permits: Semaphore,
    /// One permit for each list of jobs, sessions or API keys that is being read.
    list_permits: Semaphore,
    /// Limits the reads of requests that wait without notices.
    pub(crate) read_pacer: ReadPacer,
    /// The API keys. `None` if requests need none.
    pub(crate) keys: Option<ValidKeys>,
    /// The limits of tenants. `None` without API keys.
    pub(crate) limiter: Option<Arc<Limiter>>,
    /// Cancelled when the gateway stops. Waiting requests then answer at once.
    pub(crate) stop: CancellationToken,
}

impl ApiState {
    pub(crate) fn new(
        member: Arc<Member>,
        settings: GatewaySettings,
        stop: CancellationToken,
    ) -> Self {
        let keys_file = settings.api_keys.clone();
        Self {
            keys: keys_file.map(|file| ValidKeys::new(file, Arc::clone(&member.store))),
            admission: Admission::new(settings.backlog_max),
            bodies: BodyReader::new(member.memory.clone(), &settings),
            wait_permits: Semaphore::new(settings.waits_max.min(Semaphore::MAX_PERMITS)),
            list_permits: Semaphore::new(LISTS_AT_ONCE),
            read_pacer: ReadPacer::default(),
            limiter: settings
                .api_keys
                .clone()
                .map(|keys| Arc::new(Limiter::new(keys, Arc::clone(&member)))),
            member,
            settings,
            stop,
        }
    }

    /// Whether the caller's key is still valid. It may have been revoked while the request waited.
    pub(crate) fn is_valid(&self, caller: &Caller) -> bool {
        let keys = self.keys.as_ref();
        keys.is_none_or(|keys| keys.has(caller))
    }

    /// Refuses a request whose key was revoked since it was checked, for example while the body arrived.
    pub(crate) fn check_valid(&self, caller: &Caller) -> Result<(), Problem> {
        if self.is_valid(caller) {
            Ok(())
        } else {
            Err(Problem::unknown_key())
        }
    }

    /// Finds a job of the tenant in the store. A large outcome is not read.
    pub(crate) async fn find_job(
        &self,
        tenant: &TenantId,
        job: JobId,
    ) -> Result<Option<FoundJob>, Problem> {
        let store = &self.member.store;
        let found = store.find_job(tenant, job, INLINE_BYTES_MAX);
        store_call::with_timeout(found).await
    }

    /// Whether a job was deleted and its id is still known.
    pub(crate) async fn is_job_deleted(&self, job: JobId) -> Result<bool, Problem> {
        store_call::with_timeout(self.member.store.is_job_removed(job)).await
    }

    /// Reads a job of the tenant from the store. A large outcome is read once there is memory for it.
    pub(crate) async fn read_job(
        &self,
        tenant: &TenantId,
        job: JobId,
    ) -> Result<Option<ReadJob>, Problem> {
        let bytes = match self.find_job(tenant, job).await? {
            None => return Ok(None),
            Some(FoundJob::Record(record)) => {
                return Ok(Some(ReadJob {
                    record: *record,
                    reserved: None,
                }));
            }
            Some(FoundJob::LargeOutcome { bytes, .. }) => bytes,
        };
        let reserved = self
            .reserve_read(bytes.saturating_mul(BYTES_FOR_EACH_STORED_BYTE))
            .await?;
        let read = self.member.store.job(tenant, job);
        let record = store_call::with_long_timeout(read).await?;
        Ok(record.map(|record| ReadJob {
            record,
            reserved: Some(reserved),
        }))
    }

    /// A permit to read a list of jobs, sessions or API keys. Waits for it at most [`READ_WAIT`].
    pub(crate) async fn list_permit(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let permit = timeout(READ_WAIT, self.list_permits.acquire()).await;
        permit.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = "too many lists are read at once";
            Problem::new(ProblemCode::Overloaded, detail).retry_after(2)
        })
    }

    /// Reserves memory for a large response. Waits for it at most [`READ_WAIT`].
    pub(crate) async fn reserve_read(&self, bytes: u64) -> Result<ReservedBytes, Problem> {
        let reserved = self.member.memory.reads.reserve(bytes, READ_WAIT).await;
        reserved.ok_or_else(no_read_memory)
    }

    /// Formats a time of the store's clock as users see it: by the system's clock, which may have been set meanwhile.
    pub(crate) fn show(&self, time: TimeMs) -> String {
        self.member.store.to_utc(time).rfc3339()
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

    /// The advised pause before the next submit of this class to a session that is full, in seconds.
    pub(crate) fn after_full_session_s(&self, class: Class) -> u64 {
        let now = self.member.store.now();
        retry_after::after_full_session_s(&self.member.gauge, class, now)
    }
}

/// The problem for a large response for which no memory is free.
pub(crate) fn no_read_memory() -> Problem {
    let detail = "too many large responses are in memory";
    Problem::new(ProblemCode::Overloaded, detail).retry_after(2)
}
