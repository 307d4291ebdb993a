//! A job as the API shows it. A field without a value is null. These fields are absent instead: `is_partial`, `queue`, `retried_at`,
//! `waiting_for`, `waiting_error`, `output.reasoning`, `usage.cached_input_tokens`, `usage.reasoning_tokens`, the `detail` of an error,
//! and the optional fields of a tool call.

use axum::{
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use forebay_runtime::off_async_threads::off_async_threads;
use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::{JobId, ProcessId, SessionId},
    job::{Attempt, FinishReason, JobError, JobMeta, Outcome, Reply, Status, Usage},
    lane::{Entry, State},
    store::{JobRecord, JobState},
    time::TimeMs,
    turn::ToolCall,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::queue_position::{ClassSpeed, QueuePosition};
use crate::{
    auth::Caller,
    problem::Problem,
    problem_code::ProblemCode,
    reserved_body::reserved_body,
    retry_after::set_retry_after,
    state::{ApiState, ReadJob},
};

/// A job. Times are in UTC (RFC 3339), by the clock of the gateway's machine.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(crate) struct JobView<'a> {
    id: JobId,
    #[schemars(extend("const" = "job"))]
    object: &'static str,
    status: Status,
    /// `true` for a listed job with a large result. `GET /v1/jobs/{id}` shows the fields that are null here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_partial: bool,
    session_id: Option<&'a SessionId>,
    model: &'a str,
    priority: Class,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    /// When the job was last retried, if it was. The fields below are about the time since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    retried_at: Option<String>,
    /// When a worker first claimed the job.
    #[schemars(extend("format" = "date-time"))]
    started_at: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    ended_at: Option<String>,
    /// When the job expires unless it has ended.
    #[schemars(extend("format" = "date-time"))]
    expires_at: String,
    /// The account that the job waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<&'a AccountKey>,
    /// The last error of that account's provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_error: Option<&'a JobError>,
    /// The job's position in the queue. Absent once the job has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueuePosition>,
    /// The reply of a completed job.
    output: Option<OutputView<'a>>,
    finish_reason: Option<&'a FinishReason>,
    usage: Option<&'a Usage>,
    /// The provider that was called last.
    provider: Option<&'a str>,
    /// Why the job has no reply.
    error: Option<&'a JobError>,
    attempts: Vec<AttemptView<'a>>,
    /// How many turns were sent to the provider, the input included.
    turns_sent: Option<u32>,
    /// How many turns of the session were left out, because they exceeded the bounds of the context.
    turns_dropped: Option<u32>,
    metadata: &'a serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Output")]
struct OutputView<'a> {
    text: Option<&'a str>,
    /// Set only for a reply with neither text nor tool calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    tool_calls: &'a [ToolCall],
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Attempt")]
struct AttemptView<'a> {
    /// The number of the attempt, from 1.
    n: u32,
    worker: &'a ProcessId,
    #[schemars(extend("format" = "date-time"))]
    started_at: String,
    #[schemars(extend("format" = "date-time"))]
    ended_at: Option<String>,
    error: Option<&'a JobError>,
}

/// Writes a time of the store's clock as users see it.
pub(super) type ShowTime<'f> = &'f dyn Fn(TimeMs) -> String;

impl<'a> AttemptView<'a> {
    fn new(attempt: &'a Attempt, show: ShowTime<'_>) -> Self {
        Self {
            n: attempt.n,
            worker: &attempt.worker,
            started_at: show(attempt.started_at),
            ended_at: attempt.ended_at.map(show),
            error: attempt.error.as_ref(),
        }
    }
}

impl<'a> JobView<'a> {
    /// A queued job that has not started yet.
    fn queued(meta: &'a JobMeta, show: ShowTime<'_>) -> Self {
        Self {
            id: meta.id,
            object: "job",
            status: Status::Queued,
            is_partial: false,
            session_id: meta.session.as_ref(),
            model: &meta.model,
            priority: meta.class,
            created_at: show(meta.created_at),
            retried_at: meta.retried_at.map(show),
            started_at: None,
            ended_at: None,
            expires_at: show(meta.expires_at),
            waiting_for: None,
            waiting_error: None,
            queue: None,
            output: None,
            finish_reason: None,
            usage: None,
            provider: None,
            error: None,
            attempts: Vec::new(),
            turns_sent: None,
            turns_dropped: None,
            metadata: &meta.metadata,
        }
    }

    /// An ended job whose outcome was not read.
    pub(super) fn partial(meta: &'a JobMeta, status: Status, show: ShowTime<'_>) -> Self {
        Self {
            status,
            is_partial: true,
            ..Self::queued(meta, show)
        }
    }

    /// A job in the store. `position` is its position in the queue if it is live.
    pub(super) fn stored(
        record: &'a JobRecord,
        position: Option<QueuePosition>,
        show: ShowTime<'_>,
    ) -> Self {
        match &record.state {
            JobState::Live(live) => Self {
                queue: position,
                ..Self::live(&record.meta, &live.entry, show)
            },
            JobState::Ended(outcome) => Self::ended(&record.meta, outcome, show),
        }
    }

    fn live(meta: &'a JobMeta, entry: &'a Entry, show: ShowTime<'_>) -> Self {
        let (status, deferral) = match &entry.state {
            State::Queued { .. } => (Status::Queued, None),
            State::Deferred(deferral) => (Status::Queued, Some(deferral)),
            State::Running { .. } => (Status::InProgress, None),
        };
        Self {
            status,
            waiting_for: deferral.map(|deferral| &deferral.account),
            waiting_error: deferral.map(|deferral| &deferral.error),
            started_at: entry.started_at.map(show),
            attempts: attempts(&entry.attempts, show),
            ..Self::queued(meta, show)
        }
    }

    fn ended(meta: &'a JobMeta, outcome: &'a Outcome, show: ShowTime<'_>) -> Self {
        let reply = outcome.reply.as_ref();
        Self {
            status: outcome.status,
            started_at: outcome.started_at.map(show),
            ended_at: Some(show(outcome.ended_at)),
            output: reply.map(|reply: &Reply| OutputView {
                text: reply.text.as_deref(),
                reasoning: reply.reasoning.as_deref(),
                tool_calls: &reply.tool_calls,
            }),
            finish_reason: reply.map(|reply| &reply.finish_reason),
            usage: reply.and_then(|reply| reply.usage.as_ref()),
            provider: outcome.provider.as_deref(),
            error: outcome.error.as_ref(),
            attempts: attempts(&outcome.attempts, show),
            turns_sent: reply.map(|reply| reply.turns_sent),
            turns_dropped: reply.map(|reply| reply.turns_dropped),
            ..Self::queued(meta, show)
        }
    }
}

fn attempts<'a>(attempts: &'a [Attempt], show: ShowTime<'_>) -> Vec<AttemptView<'a>> {
    let views = attempts.iter();
    views
        .map(|attempt| AttemptView::new(attempt, show))
        .collect()
}

/// The JSON of a job that was admitted.
pub(super) fn new_job(
    meta: &JobMeta,
    position: QueuePosition,
    show: ShowTime<'_>,
) -> Result<Vec<u8>, Problem> {
    to_json(&JobView {
        queue: Some(position),
        ..JobView::queued(meta, show)
    })
}

/// The JSON of a job in the store. `position` is its position in the queue if it is live.
fn stored_job(
    record: &JobRecord,
    position: Option<QueuePosition>,
    show: ShowTime<'_>,
) -> Result<Vec<u8>, Problem> {
    to_json(&JobView::stored(record, position, show))
}

/// The position of a job in the queue. `None` if the job has ended.
pub(super) fn position_of(
    state: &ApiState,
    caller: &Caller,
    record: &JobRecord,
) -> Option<QueuePosition> {
    let JobState::Live(live) = &record.state else {
        return None;
    };
    let speed = ClassSpeed::of(&state.member.gauge, record.meta.class, caller);
    let now = state.member.store.now();
    Some(QueuePosition::of(&record.meta, live, &speed, now))
}

/// A response with this JSON.
pub(super) fn respond(status: StatusCode, json: Vec<u8>) -> Response {
    let mut response = (status, json).into_response();
    let json_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json_type);
    response
}

/// The response that shows a job of the store. For a live job, `Retry-After` says when to ask again. The memory of the job stays
/// reserved until the response is written.
pub(super) fn respond_job(
    state: &ApiState,
    caller: &Caller,
    status: StatusCode,
    job: ReadJob,
) -> Result<Response, Problem> {
    let position = position_of(state, caller, &job);
    let poll_after_s = position.map(|position| {
        let age_ms = state.member.store.now().since_ms(job.meta.admitted_at());
        position.poll_after_s(age_ms)
    });
    let ReadJob { record, reserved } = job;
    let write = || stored_job(&record, position, &|time| state.show(time));
    let json = match &reserved {
        Some(_) => off_async_threads(write)?,
        None => write()?,
    };
    let mut response = respond(status, Vec::new());
    *response.body_mut() = reserved_body(vec![json], reserved);
    if let Some(seconds) = poll_after_s {
        set_retry_after(response.headers_mut(), seconds);
    }
    Ok(response)
}

fn to_json(view: &JobView<'_>) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(view).map_err(|error| {
        tracing::error!(job_id = %view.id, %error, "a job could not be written as JSON");
        Problem::new(
            ProblemCode::Internal,
            "the job could not be written as JSON",
        )
    })
}

#[cfg(test)]
mod tests;
