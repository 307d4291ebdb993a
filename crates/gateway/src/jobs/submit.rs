//! `POST /v1/jobs`: validates a submit, commits the job to the store, and answers 202, or 200 if the job ends within the wait that the
//! client asks for.
//!
//! `validation` decides which fields are valid, and `admit` commits the job. `idempotency` decides which job a repeated submit gets.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        StatusCode,
        header::{LOCATION, RETRY_AFTER},
    },
    response::Response,
};
use forebay_shared::{
    ids::{JobId, SessionId},
    job::ReplacedTurns,
    lane::IfBusy,
    store::JobState,
};
use forebay_telemetry::task_context;

use super::{
    admit::{Accepted, PreparedJob, accepted_job},
    replaced_turn, view,
    wait::{self, WaitTime},
};
use crate::{
    auth::Caller,
    content_headers,
    idempotency::{self, KEY_TTL_MS, KeyClaim, RECORD_MARGIN_MS, SubmitKey},
    problem::Problem,
    query_parameters::Query,
    request_faults::RequestFaults,
    state::ApiState,
    store_call::{self, LARGE_STORE_TIMEOUT, STORE_TIMEOUT},
    tenant_limits::Limited,
    validation::{self, Submission},
};

/// Accepts a job.
pub(crate) async fn post(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    limited: Limited,
    request: Request,
) -> Result<Response, Problem> {
    let (accepted, wait_time) = submit(&state, &caller, &limited, request).await?;
    if accepted.has_ended && wait_time.seconds > 0 {
        return Ok(already_ended(accepted, wait_time));
    }
    let wait_permit = wait_time.permit(&state);
    let mut response = if wait_permit.is_some() {
        Box::pin(wait_for_end(&state, &caller, accepted, wait_time)).await
    } else {
        accepted.response
    };
    wait_time.confirm_async(&mut response);
    Ok(response)
}

/// The response to a submit that asks for a wait, and whose job has ended already. Usually, this is a repeated submit.
fn already_ended(accepted: Accepted, wait_time: WaitTime) -> Response {
    let mut response = accepted.response;
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().remove(RETRY_AFTER);
    wait_time.confirm_wait(&mut response);
    response
}

/// Waits for the end of an accepted job. If it ends in time, the response is 200 with the job. If the wait fails, or the key was revoked
/// meanwhile, the response is still 202, because the job is accepted.
async fn wait_for_end(
    state: &ApiState,
    caller: &Caller,
    accepted: Accepted,
    wait_time: WaitTime,
) -> Response {
    let Accepted {
        id, mut response, ..
    } = accepted;
    let waited = wait::until_ended(state, caller.tenant(), id, wait_time.seconds).await;
    let Ok(Some(waited)) = waited else {
        return response;
    };
    if !state.is_valid(caller) {
        return response;
    }
    let status = match waited.job.state {
        JobState::Ended(_) => StatusCode::OK,
        JobState::Live(_) => StatusCode::ACCEPTED,
    };
    let Ok(mut newest) = view::respond_job(state, caller, status, waited.job) else {
        return response;
    };
    for name in [LOCATION, idempotency::REPLAYED] {
        if let Some(value) = response.headers_mut().remove(&name) {
            newest.headers_mut().insert(name, value);
        }
    }
    if waited.has_waited_fully {
        wait_time.confirm_wait(&mut newest);
    }
    newest
}

/// Accepts a job, or finds the job of an earlier request with the same key.
async fn submit(
    state: &ApiState,
    caller: &Caller,
    limited: &Limited,
    request: Request,
) -> Result<(Accepted, WaitTime), Problem> {
    let (parts, body) = request.into_parts();
    // The body is read before the checks, because a client that is refused while it sends may not see the response.
    let mut body = state.bodies.read(&parts.headers, body).await?;
    state.check_valid(caller)?;
    let wait_time = wait::parse(Query(parts.uri.query()), &parts.headers);
    let mut faults = RequestFaults::of_query(&parts.extensions);
    let key = faults.collect(idempotency::parse_key(&parts.headers));
    let described_as_expected = if body.bytes.is_empty() {
        Err(validation::schema::SUBMIT.empty_body())
    } else {
        content_headers::check(&parts.headers)
    };
    let has_default_model = state.settings.default_model.is_some();
    let validated = state
        .bodies
        .validate(&mut body, described_as_expected, faults, |bytes| {
            validation::submission(bytes, has_default_model).map(Box::new)
        });
    let (submission, memory) = validated.await?;
    let key = key.flatten();
    let new_id = JobId::fresh(caller.tenant(), submission.session.as_ref());
    task_context::update(|context| context.session.clone_from(&submission.session));
    // An interrupt moves the inputs of the waiting jobs into the session, and these inputs may be large.
    let is_large = body.is_long_work() || submission.if_busy == IfBusy::Interrupt;
    let now = state.member.store.now();
    let key = key.map(|key| SubmitKey::new(state, caller, key, &body, new_id, now));
    drop(body);
    let OfSession { model, replaces } = match of_session(state, caller, &submission).await {
        Ok(of_session) => of_session,
        Err(refusal) => {
            // A repeated submit gets its job even if the session has changed since.
            let Some(key) = key else { return Err(refusal) };
            let job = Box::pin(key.admitted_job()).await?.ok_or(refusal)?;
            return Ok((accepted_job(state, caller, *job)?.replayed(), wait_time));
        }
    };
    let job = PreparedJob {
        submission,
        model,
        caller: caller.clone(),
        replaces,
        // The span of this request if traces are exported, and otherwise the client's span.
        traceparent: task_context::current_trace().map(|trace| trace.to_string()),
        now,
        memory,
        timeout: if is_large {
            LARGE_STORE_TIMEOUT
        } else {
            STORE_TIMEOUT
        },
    };
    let Some(key) = key else {
        let permits = job.reserve(state, limited).await?;
        let accepted = job.admit(state, new_id, None, permits).await?;
        return Ok((accepted, wait_time));
    };
    // Boxed, so that it does not enlarge the future of a submit without a key.
    let accepted = Box::pin(submit_with_key(state, limited, job, new_id, &key)).await?;
    Ok((accepted, wait_time))
}

/// What may depend on the session of a job.
struct OfSession {
    model: String,
    replaces: Option<ReplacedTurns>,
}

async fn of_session(
    state: &ApiState,
    caller: &Caller,
    submission: &Submission,
) -> Result<OfSession, Problem> {
    let model = match &submission.model {
        Some(model) => model.clone(),
        None => default_model(state, caller, submission.session.as_ref()).await?,
    };
    Ok(OfSession {
        model,
        replaces: replaced_turn::of_submit(state, caller.tenant(), submission).await?,
    })
}

/// The model of a submit that names none: the default of its session, or else the default of the gateway.
async fn default_model(
    state: &ApiState,
    caller: &Caller,
    session: Option<&SessionId>,
) -> Result<String, Problem> {
    if let Some(session) = session {
        let read = state.member.store.session_model(caller.tenant(), session);
        if let Some(model) = store_call::with_timeout(read).await? {
            return Ok(model);
        }
    }
    state.settings.default_model.clone().ok_or_else(|| {
        let message =
            "is required, because neither the session nor this gateway has a default model";
        Problem::invalid_field("model", message)
    })
}

/// Accepts a job with an idempotency key, or shows the job of an earlier request with this key.
async fn submit_with_key(
    state: &ApiState,
    limited: &Limited,
    job: PreparedJob,
    new_id: JobId,
    key: &SubmitKey<'_>,
) -> Result<Accepted, Problem> {
    let permits = match job.reserve(state, limited).await {
        Ok(permits) => permits,
        // A repeated submit gets its job even while new jobs are refused. A refused submit writes nothing.
        Err(refusal) => {
            let job = key.admitted_job().await?.ok_or(refusal)?;
            return Ok(accepted_job(state, key.caller(), *job)?.replayed());
        }
    };
    let (entry, is_own) = match key.claim().await? {
        KeyClaim::Admitted(job) => return Ok(accepted_job(state, key.caller(), *job)?.replayed()),
        KeyClaim::Own(entry) => (entry, true),
        KeyClaim::Shared(entry) => (entry, false),
    };
    let id = entry.job;
    let keep_until = job.now.plus_ms(KEY_TTL_MS + RECORD_MARGIN_MS);
    match job.admit(state, id, Some(keep_until), permits).await {
        Ok(accepted) => {
            if !is_own {
                key.keep(entry).await;
            }
            // A request whose claim is `Own` has admitted the job itself, even if the id comes from an earlier request that was refused.
            Ok(if is_own || id == new_id {
                accepted
            } else {
                accepted.replayed()
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
