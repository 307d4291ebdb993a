//! `POST /v1/jobs`: validates a submit, commits the job to the store, and answers 202.
//!
//! `validation` decides which fields are valid, and `admission` whether new jobs are accepted now. `idempotency`
//! decides which job a repeated submit gets. The lane's rules decide whether the session accepts one more job.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, LOCATION},
    },
    response::Response,
};
use forebay_runtime::lanes::{AdmitOptions, LaneChange, LaneError};
use forebay_shared::{
    class::Class,
    document::{DocumentVersion, UnknownFields},
    ids::JobId,
    job::JobMeta,
    lane::{LANE_MAX, Refused},
    store::{NewJob, StoreError},
    time::TimeMs,
};
use tokio::sync::OwnedSemaphorePermit;

use super::{traceparent, view};
use crate::{
    idempotency::{self, KeyOwner},
    problem::Problem,
    problem_code::ProblemCode,
    retry_after::set_retry_after,
    state::ApiState,
    store_call::{STORE_TIMEOUT, lane_problem},
    validation::{self, Submission},
};

/// Accepts a job.
pub(crate) async fn post(
    State(state): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // The body is read before the checks, because a client that is refused while it sends may not see the response.
    let body = state.bodies.read(&parts.headers, body).await?;
    check_content_type(&parts.headers)?;
    let key = idempotency::parse_key(&parts.headers)?;
    let submission = validation::submission(&body.bytes, state.settings.default_model.as_deref())?;

    let new_id = JobId::fresh(&state.tenant, submission.session.as_ref());
    let job = PreparedJob {
        submission,
        traceparent: traceparent::parse(&parts.headers),
        now: state.member.store.now(),
        body_permit: body.permit,
    };
    let Some(key) = key else {
        job.reserve(&state)?;
        return job.admit(&state, new_id, None).await;
    };
    // The key is set before the limits are checked. So a repeated submit gets its job even while new jobs are refused.
    // A refused submit leaves its key without a job. The next submit with the key admits the job.
    let now = job.now;
    let owner = idempotency::set_idempotency_key(&state, &key, &body.bytes, new_id, now).await?;
    let id = match owner {
        KeyOwner::ThisJob => new_id,
        KeyOwner::EarlierJob(id) => {
            if let Some(record) = state.read_job(id).await? {
                let json = view::stored_job(&record)?;
                return Ok(replayed(accepted(&state, id, record.meta.class, json)));
            }
            id
        }
    };
    job.reserve(&state)?;
    let keep_until = now.plus_ms(idempotency::KEY_TTL_MS + idempotency::RECORD_MARGIN_MS);
    let response = job.admit(&state, id, Some(keep_until)).await?;
    Ok(match owner {
        KeyOwner::ThisJob => response,
        KeyOwner::EarlierJob(_) => replayed(response),
    })
}

/// Refuses a body whose content type is not JSON. A body without a content type is accepted.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let media_type = content_type.to_str().unwrap_or_default().split(';').next();
    let media_type = media_type.unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let detail = "the Content-Type must be application/json";
    Err(Problem::new(ProblemCode::UnsupportedMediaType, detail))
}

/// A valid submit, ready to be admitted under an id.
struct PreparedJob {
    submission: Submission,
    traceparent: Option<String>,
    /// The store's time when the submit arrived.
    now: TimeMs,
    /// Keeps the body's bytes reserved in the byte budget until the commit has ended.
    body_permit: OwnedSemaphorePermit,
}

impl PreparedJob {
    /// Counts the job in the backlog, or returns why it is refused.
    fn reserve(&self, state: &ApiState) -> Result<(), Problem> {
        let accounts = || state.settings.model_accounts.of(&self.submission.model);
        state.admission.reserve(&state.member, accounts)
    }

    /// Admits the job and answers 202. `keep_until` is set for a job with an idempotency key.
    async fn admit(
        self,
        state: &ApiState,
        id: JobId,
        keep_until: Option<TimeMs>,
    ) -> Result<Response, Problem> {
        let submission = self.submission;
        let meta = JobMeta {
            v: DocumentVersion::FIRST,
            id,
            tenant: state.tenant.clone(),
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
        let json = view::new_job(&meta)?;
        let request = submission.request;
        // The commit may continue after the timeout with the body in memory, so the change keeps the permit.
        let change =
            LaneChange::admit(NewJob { meta, request }, options).with_permit(self.body_permit);
        match state.member.lanes.apply(change, STORE_TIMEOUT).await {
            Ok(_) => {
                state.admission.record_store_full(false);
                tracing::debug!(job_id = %id, %class, "job accepted");
                Ok(accepted(state, id, class, json))
            }
            // The job already exists. Another request with the same key admitted it, or `Lanes` repeated this commit
            // because its confirmation was lost.
            Err(LaneError::Refused(Refused::Exists)) => match state.read_job(id).await? {
                Some(record) => Ok(accepted(state, id, class, view::stored_job(&record)?)),
                None => Ok(accepted(state, id, class, json)),
            },
            Err(error) => Err(admission_problem(state, class, &error)),
        }
    }
}

/// The problem for an admission that failed.
fn admission_problem(state: &ApiState, class: Class, error: &LaneError) -> Problem {
    match error {
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
    }
}

/// A 202 response with the job's JSON.
fn accepted(state: &ApiState, id: JobId, class: Class, json: Vec<u8>) -> Response {
    let mut response = view::respond(StatusCode::ACCEPTED, json);
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

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

    use super::check_content_type;

    #[test]
    fn json_content_types_and_an_absent_content_type_are_accepted() {
        let accepts = |content_type: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            check_content_type(&headers).is_ok()
        };
        assert!(check_content_type(&HeaderMap::new()).is_ok());
        assert!(accepts("application/json"));
        assert!(accepts("Application/JSON; charset=utf-8"));
        assert!(accepts("application/vnd.x+json"));
        assert!(!accepts("text/plain"));
        assert!(!accepts("application/x-www-form-urlencoded"));
        assert!(!accepts(""));
    }
}
