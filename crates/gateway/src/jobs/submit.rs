//! `POST /v1/jobs`: check, admit, answer. 202 means that the job is on disk.
//!
//! What a body may hold is decided in `validation`, whether submits are accepted now in `admission`,
//! which job a repeat is about in `idempotency`, and whether the session takes one more by the lane.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, LOCATION},
    },
    response::Response,
};
use forebay_runtime::lanes::{Change, LaneError};
use forebay_shared::{
    class::Class,
    ids::JobId,
    job::JobMeta,
    lane::{Admit, LANE_MAX, Refused},
    store::{NewJob, StoreError},
    time::TimeMs,
};

use tokio::sync::OwnedSemaphorePermit;

use super::{traceparent, view};
use crate::{
    api::{Api, set_retry_after},
    idempotency::{self, Whose},
    patience::PATIENCE,
    problem::{Code, Problem},
    validation::{self, Submission},
};

/// Accepts a job.
pub(crate) async fn post(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // Before all else: a client that is refused while it still sends may not see why.
    let body = api.bodies.read(&parts.headers, body).await?;
    check_content_type(&parts.headers)?;
    let key = idempotency::key(&parts.headers)?;
    let submission = validation::submission(&body.bytes, api.settings.default_model.as_deref())?;
    let traceparent = traceparent::of(&parts.headers);

    let now = api.member.store.now();
    let fresh = JobId::fresh(&api.tenant, submission.session.as_ref());
    let Some(key) = key else {
        api.admission.take_place(&api.member)?;
        let (job, admission) = prepare(&api, fresh, submission, traceparent, now, None);
        return admit(&api, job, admission, body.room).await;
    };
    // The key comes before the limits, for a repeat is told of its job even where new ones are refused.
    // A key that is set and then refused leads to a job that is not there yet: whoever repeats the
    // request once there is room makes it, so nothing is lost but the key's small record.
    let whose = idempotency::claim(&api, &key, &body.bytes, fresh, now).await?;
    let id = match whose {
        Whose::New => fresh,
        Whose::Earlier(id) => {
            if let Some(record) = api.read_job(id).await? {
                let json = view::stored(&record)?;
                return Ok(replayed(accepted(&api, id, record.meta.class, json)));
            }
            id
        }
    };
    api.admission.take_place(&api.member)?;
    let keep_until = now.plus_ms(idempotency::KEY_TTL_MS + idempotency::RECORD_MARGIN_MS);
    let (job, admission) = prepare(&api, id, submission, traceparent, now, Some(keep_until));
    let response = admit(&api, job, admission, body.room).await?;
    Ok(match whose {
        Whose::New => response,
        Whose::Earlier(_) => replayed(response),
    })
}

/// A body that says it is something else than JSON is not looked at; one that says nothing is.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(kind) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = kind.to_str().unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let detail = "the Content-Type must be application/json";
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

/// The job's documents, and what the lane is to know of it.
fn prepare(
    api: &Api,
    id: JobId,
    submission: Submission,
    traceparent: Option<String>,
    now: TimeMs,
    keep_until: Option<TimeMs>,
) -> (NewJob, Admit) {
    let meta = JobMeta {
        id,
        tenant: api.tenant.clone(),
        session: submission.session,
        model: submission.model,
        class: submission.class,
        created_at: now,
        expires_at: now.plus_ms(submission.expires_in_ms),
        metadata: submission.metadata,
        keep_until,
        traceparent,
    };
    let admit = Admit {
        job: id,
        class: meta.class,
        deadline: meta.expires_at,
        tool_results: submission.tool_results,
        if_busy: submission.if_busy,
        repair: false,
    };
    let request = Arc::new(submission.request);
    (NewJob { meta, request }, admit)
}

async fn admit(
    api: &Api,
    job: NewJob,
    admit: Admit,
    room: OwnedSemaphorePermit,
) -> Result<Response, Problem> {
    // Written before the job is given away, so that nothing of it is copied or read again.
    let json = view::accepted(&job.meta)?;
    let (id, class) = (admit.job, admit.class);
    match api
        .member
        .lanes
        // The commit may outlast the patience, and with it the documents, so the room stays taken.
        .apply(Change::admit(job, admit).holding(room), PATIENCE)
        .await
    {
        Ok(_) => {
            api.admission.note_store(false);
            tracing::debug!(job_id = %id, class = %class, "a job was accepted");
            Ok(accepted(api, id, class, json))
        }
        // Two requests with one key, or an answer that was lost on its way here.
        Err(LaneError::Refused(Refused::Exists)) => match api.read_job(id).await? {
            Some(record) => Ok(accepted(api, id, class, view::stored(&record)?)),
            None => Ok(accepted(api, id, class, json)),
        },
        Err(LaneError::Refused(Refused::Full)) => {
            let detail = format!("a session may have at most {LANE_MAX} live jobs");
            Err(Problem::new(Code::SessionFull, detail).retry_after(api.poll_after_s(class)))
        }
        Err(LaneError::Refused(Refused::Busy)) => {
            let detail = "if_busy is reject, and the session has live jobs";
            Err(Problem::new(Code::SessionBusy, detail))
        }
        Err(error) => {
            if matches!(error, LaneError::Store(StoreError::Full)) {
                api.admission.note_store(true);
            }
            Err(Problem::from_lane(&error))
        }
    }
}

fn accepted(api: &Api, id: JobId, class: Class, json: Vec<u8>) -> Response {
    let mut response = view::respond(StatusCode::ACCEPTED, json);
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::try_from(format!("/v1/jobs/{id}")) {
        headers.insert(LOCATION, location);
    }
    set_retry_after(headers, api.poll_after_s(class));
    response
}

fn replayed(mut response: Response) -> Response {
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(idempotency::REPLAYED, yes);
    response
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

    use super::check_content_type;

    #[test]
    fn json_by_any_of_its_names_or_none_is_taken() {
        let with = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            check_content_type(&headers).is_ok()
        };
        assert!(check_content_type(&HeaderMap::new()).is_ok());
        assert!(with("application/json"));
        assert!(with("Application/JSON; charset=utf-8"));
        assert!(with("application/vnd.x+json"));
        assert!(!with("text/plain"));
        assert!(!with("application/x-www-form-urlencoded"));
        assert!(!with(""));
    }
}
