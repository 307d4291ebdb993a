//! `POST /v1/jobs`: validates a submit, commits the job to the store, and answers 202.
//!
//! `validation` decides which fields are valid, and `admission` whether new jobs are accepted now. `idempotency`
//! decides which job a repeated submit gets. The lane's rules decide whether the session accepts one more job.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::LOCATION},
    response::Response,
};
use forebay_runtime::{
    byte_budget::ReservedBytes,
    lanes::{AdmitOptions, LaneChange, LaneError},
};
use forebay_shared::{
    class::Class,
    document::{DocumentVersion, UnknownFields},
    ids::{JobId, TenantId},
    job::JobMeta,
    lane::{IfBusy, LANE_MAX, Refused},
    store::{NewJob, StoreError},
    time::TimeMs,
};
use forebay_telemetry::task_context;

use super::view;
use crate::{
    admission::Reservation,
    auth::Caller,
    content_headers,
    idempotency::{self, KEY_TTL_MS, KeyClaim, RECORD_MARGIN_MS, SubmitKey},
    problem::Problem,
    problem_code::ProblemCode,
    retry_after::set_retry_after,
    state::{ApiState, ReadJob},
    store_call::{LARGE_STORE_TIMEOUT, STORE_TIMEOUT, lane_problem},
    validation::{self, Submission},
};

/// Accepts a job.
pub(crate) async fn post(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // The body is read before the checks, because a client that is refused while it sends may not see the response.
    let mut body = state.bodies.read(&parts.headers, body).await?;
    if body.bytes.is_empty() {
        return Err(validation::empty_body());
    }
    content_headers::check(&parts.headers)?;
    let key = idempotency::parse_key(&parts.headers)?;
    let memory = state.bodies.reserve_parsed(&mut body).await?;
    let default_model = state.settings.default_model.as_deref();
    let submission = body.compute(|bytes| validation::submission(bytes, default_model))?;

    let new_id = JobId::fresh(caller.tenant(), submission.session.as_ref());
    task_context::update(|context| context.session.clone_from(&submission.session));
    // An interrupt moves the inputs of the waiting jobs into the session, and they may be large.
    let is_large = body.is_long_work() || submission.if_busy == IfBusy::Interrupt;
    let job = PreparedJob {
        submission,
        tenant: caller.tenant().clone(),
        // The span of this request if traces are exported, and otherwise the client's span.
        traceparent: task_context::current_trace().map(|trace| trace.to_string()),
        now: state.member.store.now(),
        memory,
        timeout: if is_large {
            LARGE_STORE_TIMEOUT
        } else {
            STORE_TIMEOUT
        },
    };
    let Some(key) = key else {
        let reservation = job.reserve(&state)?;
        drop(body);
        return Ok(job.admit(&state, new_id, None, reservation).await?);
    };
    let key = SubmitKey::new(&state, caller.tenant(), key, &body, new_id, job.now);
    drop(body);
    post_with_key(&state, job, new_id, &key).await
}

/// Accepts a job with an idempotency key, or shows the job of an earlier request with this key.
async fn post_with_key(
    state: &ApiState,
    job: PreparedJob,
    new_id: JobId,
    key: &SubmitKey<'_>,
) -> Result<Response, Problem> {
    let reservation = match job.reserve(state) {
        Ok(reservation) => reservation,
        // A repeated submit gets its job even while new jobs are refused. A refused submit writes nothing.
        Err(refusal) => {
            let job = key.admitted_job().await?.ok_or(refusal)?;
            return Ok(replayed(accepted_job(state, *job)?));
        }
    };
    let (entry, is_own) = match key.claim().await? {
        KeyClaim::Admitted(job) => return Ok(replayed(accepted_job(state, *job)?)),
        KeyClaim::Own(entry) => (entry, true),
        KeyClaim::Shared(entry) => (entry, false),
    };
    let (id, lifetime_ms) = (entry.job, KEY_TTL_MS + RECORD_MARGIN_MS);
    let keep_until = job.now.plus_ms(lifetime_ms);
    match job.admit(state, id, Some(keep_until), reservation).await {
        Ok(response) => {
            if !is_own {
                key.keep(entry).await;
            }
            // The owner of the key has made this job, also under the id of an earlier request that was refused.
            Ok(if is_own || id == new_id {
                response
            } else {
                replayed(response)
            })
        }
        Err(error) => {
            if is_own && error.is_refusal {
                key.release(entry).await;
            }
            Err(error.problem)
        }
    }
}

/// A valid submit, ready to be admitted under an id.
struct PreparedJob {
    submission: Submission,
    tenant: TenantId,
    traceparent: Option<String>,
    /// The store's time when the submit arrived.
    now: TimeMs,
    /// The memory of the job, if it is large. It stays reserved until the commit has ended.
    memory: Option<ReservedBytes>,
    /// The time limit of the commit.
    timeout: Duration,
}

impl PreparedJob {
    /// Counts the job in the backlog, or returns why it is refused.
    fn reserve<'a>(&self, state: &'a ApiState) -> Result<Reservation<'a>, Problem> {
        let accounts = || state.settings.model_accounts.of(&self.submission.model);
        state.admission.reserve(&state.member, accounts)
    }

    /// Admits the job and answers 202. `keep_until` is set for a job with an idempotency key.
    async fn admit(
        self,
        state: &ApiState,
        id: JobId,
        keep_until: Option<TimeMs>,
        mut reservation: Reservation<'_>,
    ) -> Result<Response, AdmitError> {
        log_with(id);
        let (submission, tenant) = (self.submission, self.tenant);
        let meta = JobMeta {
            v: DocumentVersion::FIRST,
            id,
            tenant: tenant.clone(),
            session: submission.session,
            model: submission.model,
            class: submission.class,
            created_at: self.now,
            expires_at: self.now.plus_ms(submission.expires_in_ms),
            metadata: submission.metadata,
            keep_until,
            traceparent: self.traceparent,
            unknown: UnknownFields::NONE,
        };
        let options = AdmitOptions {
            is_tool_results: submission.is_tool_results,
            if_busy: submission.if_busy,
        };
        let class = meta.class;
        // The JSON is made before `meta` moves into the change. So `meta` needs no clone.
        let json = view::new_job(&meta, &|time| state.show(time))?;
        let request = submission.request;
        // The commit may continue after the timeout with the job in memory, so the change keeps the reservation.
        let mut change = LaneChange::admit(NewJob { meta, request }, options);
        if let Some(memory) = self.memory {
            change = change.with_reserved(memory);
        }
        reservation.use_up();
        let applied = state.member.lanes.apply(change, self.timeout).await;
        drop(reservation);
        match applied {
            Ok(_) => {
                state.admission.record_store_full(false);
                tracing::debug!(job_id = %id, %class, "job accepted");
                let response = view::respond(StatusCode::ACCEPTED, json);
                Ok(accepted(state, id, class, response))
            }
            // The job already exists. Another request with the same key admitted it, or `Lanes` repeated this commit
            // because its confirmation was lost.
            Err(LaneError::Refused(Refused::Exists)) => match state.read_job(&tenant, id).await? {
                Some(job) => Ok(accepted_job(state, job)?),
                None => {
                    let response = view::respond(StatusCode::ACCEPTED, json);
                    Ok(accepted(state, id, class, response))
                }
            },
            Err(error) => Err(admit_error(state, class, &error)),
        }
    }
}

/// Why an admission failed.
struct AdmitError {
    problem: Problem,
    /// Whether the job was refused, by its session, by the store, or because too much else happens. Otherwise the job may have
    /// been admitted.
    is_refusal: bool,
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
fn admit_error(state: &ApiState, class: Class, error: &LaneError) -> AdmitError {
    let problem = match error {
        LaneError::Refused(Refused::Full) => {
            let detail = format!("a session may have at most {LANE_MAX} live jobs");
            Problem::new(ProblemCode::SessionFull, detail).retry_after(state.poll_after_s(class))
        }
        LaneError::Refused(Refused::Busy) => {
            let detail = "if_busy is reject, and the session has live jobs";
            Problem::new(ProblemCode::SessionBusy, detail)
        }
        _ => {
            if matches!(error, LaneError::Store(StoreError::Full)) {
                state.admission.record_store_full(true);
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

/// A 202 response with a job of the store.
fn accepted_job(state: &ApiState, job: ReadJob) -> Result<Response, Problem> {
    let (id, class) = (job.meta.id, job.meta.class);
    log_with(id);
    let response = view::respond_job(state, StatusCode::ACCEPTED, job)?;
    Ok(accepted(state, id, class, response))
}

/// Adds the id of the job to the log lines of this request.
fn log_with(id: JobId) {
    task_context::update(|context| context.job = Some(id));
}

/// Adds the headers of a 202 response.
fn accepted(state: &ApiState, id: JobId, class: Class, mut response: Response) -> Response {
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::try_from(format!("/v1/jobs/{id}")) {
        headers.insert(LOCATION, location);
    }
    set_retry_after(headers, state.poll_after_s(class));
    response
}

/// Marks a response that shows the job of an earlier request.
fn replayed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
    response
}
