//! Commits a job to the store. `admission` decides whether new jobs are accepted now, and the lane's rules whether the session accepts one
//! more job.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{LOCATION, RETRY_AFTER},
    },
    response::Response,
};
use forebay_runtime::{
    byte_budget::ReservedBytes,
    lanes::{AdmitOptions, Applied, LaneChange, LaneError},
};
use forebay_shared::{
    class::Class,
    document::{DocumentVersion, UnknownFields},
    ids::JobId,
    job::{JobMeta, ReplacedTurns},
    lane::{LANE_MAX, Refused},
    store::{JobState, LaneHead, NewJob, StoreError},
    time::TimeMs,
};
use forebay_telemetry::task_context;

use super::{
    admission_permits::AdmissionPermits,
    queue_position::{ClassSpeed, QueuePosition},
    view,
};
use crate::{
    auth::Caller,
    idempotency,
    problem::Problem,
    problem_code::ProblemCode,
    retry_after::set_retry_after,
    state::{ApiState, ReadJob},
    store_call::lane_problem,
    tenant_limits::Limited,
    validation::Submission,
};

/// A valid submit, ready to be admitted under an id.
pub(super) struct PreparedJob {
    /// Boxed, because the future of a submit is moved several times and should be small.
    pub(super) submission: Box<Submission>,
    /// The model that the submit names, or else the default of its session or of the gateway.
    pub(super) model: String,
    pub(super) caller: Caller,
    /// The turns of the session that the job replaces; `None` if it replaces none.
    pub(super) replaces: Option<ReplacedTurns>,
    pub(super) traceparent: Option<String>,
    /// The store's time when the submit arrived.
    pub(super) now: TimeMs,
    /// The memory of the job, if it is large. It stays reserved until the commit has ended.
    pub(super) memory: Option<ReservedBytes>,
    /// The time limit of the commit.
    pub(super) timeout: Duration,
}

impl PreparedJob {
    /// Takes a permit of the tenant and counts the job in the backlog, or returns why the job is refused.
    pub(super) async fn reserve<'a>(
        &self,
        state: &'a ApiState,
        limited: &Limited,
    ) -> Result<AdmissionPermits<'a>, Problem> {
        AdmissionPermits::take(state, limited, &self.model).await
    }

    /// Admits the job and answers 202. The record of a job with an idempotency key is kept at least until `keep_until`.
    pub(super) async fn admit(
        self,
        state: &ApiState,
        id: JobId,
        keep_until: Option<TimeMs>,
        permits: AdmissionPermits<'_>,
    ) -> Result<Accepted, AdmitError> {
        log_with(id);
        // The key may have been revoked while the request waited for its permits.
        state
            .check_valid(&self.caller)
            .map_err(|problem| AdmitError {
                problem,
                is_refusal: true,
            })?;
        let timeout = self.timeout;
        let (caller, job, change) = self.into_change(id, keep_until);
        let class = job.meta.class;
        let applied = permits.apply(state, change, timeout).await;
        match applied {
            Ok(applied) => {
                state.admission.set_store_full(false);
                tracing::debug!(job_id = %id, %class, "job accepted");
                Ok(accepted_new(state, &caller, &job.meta, &applied)?)
            }
            Err(LaneError::Refused(Refused::Exists)) => {
                Ok(Box::pin(existing_job(state, &caller, &job.meta)).await?)
            }
            Err(error) => Err(admit_error(state, class, &error)),
        }
    }

    /// The change that admits the job under this id.
    fn into_change(
        self,
        id: JobId,
        keep_until: Option<TimeMs>,
    ) -> (Caller, Arc<NewJob>, LaneChange) {
        let submission = *self.submission;
        let meta = JobMeta {
            v: DocumentVersion::FIRST,
            id,
            tenant: self.caller.tenant().clone(),
            session: submission.session,
            model: self.model,
            class: submission.class,
            created_at: self.now,
            expires_at: self.now.plus_ms(submission.expires_in_ms),
            retried_at: None,
            is_tool_results: submission.is_tool_results,
            metadata: submission.metadata,
            keep_until,
            replaces: self.replaces,
            traceparent: self.traceparent,
            unknown: UnknownFields::NONE,
        };
        let options = AdmitOptions {
            is_tool_results: submission.is_tool_results,
            if_busy: submission.if_busy,
        };
        let request = submission.request;
        let job = Arc::new(NewJob { meta, request });
        // The commit may continue after the timeout with the job in memory, so the change keeps the reservation.
        let mut change = LaneChange::admit(Arc::clone(&job), options);
        if let Some(memory) = self.memory {
            change = change.with_reserved(memory);
        }
        (self.caller, job, change)
    }
}

/// The response for a job that exists already: another request with the same key admitted it, or `Lanes` repeated the commit because its
/// confirmation was lost.
async fn existing_job(
    state: &ApiState,
    caller: &Caller,
    meta: &JobMeta,
) -> Result<Accepted, Problem> {
    match state.read_job(caller.tenant(), meta.id).await? {
        Some(job) => accepted_job(state, caller, job),
        None if state.is_job_deleted(meta.id).await? => Err(Problem::job_deleted()),
        None => accepted_new(state, caller, meta, &Applied::Done),
    }
}

/// Why an admission failed.
pub(super) struct AdmitError {
    pub(super) problem: Problem,
    /// Whether the job was certainly not admitted, for example because its session or the store is full. If this is `false`, the
    /// job may have been admitted.
    pub(super) is_refusal: bool,
}

impl From<Problem> for AdmitError {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            is_refusal: false,
        }
    }
}

impl From<AdmitError> for Problem {
    fn from(error: AdmitError) -> Self {
        error.problem
    }
}

/// The error for an admission that failed.
pub(super) fn admit_error(state: &ApiState, class: Class, error: &LaneError) -> AdmitError {
    let problem = match error {
        LaneError::Refused(Refused::Full) => {
            let detail = format!("a session may have at most {LANE_MAX} live jobs");
            Problem::new(ProblemCode::SessionFull, detail)
                .retry_after(state.after_full_session_s(class))
        }
        LaneError::Refused(Refused::Busy) => {
            let detail = "if_busy is reject, and the session has live jobs";
            Problem::new(ProblemCode::SessionBusy, detail)
        }
        _ => {
            if matches!(error, LaneError::Store(StoreError::Full)) {
                state.admission.set_store_full(true);
            }
            lane_problem(error)
        }
    };
    let is_refusal = match error {
        LaneError::Refused(refused) => matches!(refused, Refused::Full | Refused::Busy),
        LaneError::Store(error) => matches!(error, StoreError::Full | StoreError::TooLarge),
        LaneError::NoMemory | LaneError::Contended => true,
    };
    AdmitError {
        problem,
        is_refusal,
    }
}

/// A job that was accepted, now or earlier, and the 202 response.
pub(super) struct Accepted {
    pub(super) id: JobId,
    /// Whether the job has ended already.
    pub(super) has_ended: bool,
    pub(super) response: Response,
}

impl Accepted {
    fn new(id: JobId, has_ended: bool, mut response: Response) -> Self {
        if let Ok(location) = HeaderValue::try_from(format!("/v1/jobs/{id}")) {
            response.headers_mut().insert(LOCATION, location);
        }
        Self {
            id,
            has_ended,
            response,
        }
    }

    /// Marks a response that shows the job of an earlier request.
    pub(super) fn replayed(mut self) -> Self {
        let headers = self.response.headers_mut();
        headers.insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
        self
    }
}

/// The response for a job that was admitted just now. `applied` is the result of its change.
pub(super) fn accepted_new(
    state: &ApiState,
    caller: &Caller,
    meta: &JobMeta,
    applied: &Applied,
) -> Result<Accepted, Problem> {
    let speed = ClassSpeed::of(&state.member.gauge, meta.class, caller);
    let now = state.member.store.now();
    let (ahead, head) = match applied {
        Applied::Admitted { ahead, head } => (*ahead, head),
        _ => (0, &LaneHead::READY),
    };
    let position = QueuePosition::of_new(meta, ahead, head, &speed, now);
    let json = view::new_job(meta, position, &|time| state.show(time))?;
    let mut response = view::respond(StatusCode::ACCEPTED, json);
    set_retry_after(response.headers_mut(), position.poll_after_s(0));
    Ok(Accepted::new(meta.id, false, response))
}

/// The response for a job that was read from the store.
pub(super) fn accepted_job(
    state: &ApiState,
    caller: &Caller,
    job: ReadJob,
) -> Result<Accepted, Problem> {
    let id = job.meta.id;
    log_with(id);
    let has_ended = matches!(job.state, JobState::Ended(_));
    let mut response = view::respond_job(state, caller, StatusCode::ACCEPTED, job)?;
    // Clients expect `Retry-After` in a 202 response, even if the job has ended.
    let headers = response.headers_mut();
    headers
        .entry(RETRY_AFTER)
        .or_insert(HeaderValue::from_static("1"));
    Ok(Accepted::new(id, has_ended, response))
}

/// Adds the id of the job to the log lines of this request.
fn log_with(id: JobId) {
    task_context::update(|context| context.job = Some(id));
}
