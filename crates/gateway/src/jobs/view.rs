//! A job as the API shows it. A field without a value is null. Nine fields are absent instead: `is_partial`, `queue`, `retried_at`,
//! `waiting_for`, `waiting_error`, `output.reasoning`, `usage.cached_input_tokens`, `usage.reasoning_tokens` and `error.detail`.

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
    store::{FoundJob, JobRecord, JobState},
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
    /// When the job was last retried, if it was. All that follows is about the time since then.
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
    fn partial(meta: &'a JobMeta, status: Status, show: ShowTime<'_>) -> Self {
        Self {
            status,
            is_partial: true,
            ..Self::queued(meta, show)
        }
    }

    /// A job in the store. `position` is that of a live job.
    fn stored(record: &'a JobRecord, position: Option<QueuePosition>, show: ShowTime<'_>) -> Self {
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

/// The JSON of a job in the store. `position` is that of a live job.
fn stored_job(
    record: &JobRecord,
    position: Option<QueuePosition>,
    show: ShowTime<'_>,
) -> Result<Vec<u8>, Problem> {
    to_json(&JobView::stored(record, position, show))
}

/// A page of jobs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct JobList<'a> {
    #[schemars(extend("const" = "list"))]
    object: &'static str,
    data: Vec<JobView<'a>>,
    /// The `cursor` of the next page; null after the last job.
    next_cursor: Option<String>,
}

/// The JSON of a page of jobs.
pub(super) fn list(
    state: &ApiState,
    caller: &Caller,
    jobs: &[FoundJob],
    next_cursor: Option<String>,
) -> Result<Vec<u8>, Problem> {
    let show = |time: TimeMs| state.show(time);
    let data = jobs.iter().map(|job| match job {
        FoundJob::Record(record) => {
            JobView::stored(record, position_of(state, caller, record), &show)
        }
        FoundJob::LargeOutcome { meta, status, .. } => JobView::partial(meta, *status, &show),
    });
    let list = JobList {
        object: "list",
        data: data.collect(),
        next_cursor,
    };
    serde_json::to_vec(&list).map_err(|error| {
        tracing::error!(%error, "a list of jobs could not be written as JSON");
        let detail = "the list could not be written as JSON";
        Problem::new(ProblemCode::Internal, detail)
    })
}

/// The position of a job in the queue. `None` if the job has ended.
fn position_of(state: &ApiState, caller: &Caller, record: &JobRecord) -> Option<QueuePosition> {
    let JobState::Live(live) = &record.state else {
        return None;
    };
    let speed = ClassSpeed::of(&state.member.gauge, record.meta.class, caller);
    let now = state.member.store.now();
    Some(QueuePosition::of(&record.meta, live, &speed, now))
}

/// A response with a job's JSON.
pub(super) fn respond(status: StatusCode, json: Vec<u8>) -> Response {
    let mut response = (status, json).into_response();
    let json_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json_type);
    response
}

/// A response with a job of the store, and when to ask for it again if it is live. Its memory stays reserved until the response is
/// written.
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
mod tests {
    use forebay_shared::{
        class::Class,
        document::{DocumentVersion, UnknownFields},
        ids::{JobId, ProcessId, TenantId},
        job::{Attempt, FinishReason, JobError, JobMeta, Outcome, Reply, Status, Usage},
        lane::State,
        store::{JobRecord, JobState},
        time::TimeMs,
    };
    use serde_json::{Value, json};

    use super::{ClassSpeed, QueuePosition, new_job, stored_job};

    fn meta() -> JobMeta {
        let tenant = TenantId::default();
        JobMeta {
            v: DocumentVersion::FIRST,
            id: JobId::fresh(&tenant, None),
            tenant,
            session: None,
            model: String::from("simulated"),
            class: Class::Batch,
            created_at: TimeMs(0),
            expires_at: TimeMs(60_000),
            retried_at: None,
            is_tool_results: false,
            metadata: serde_json::Map::new(),
            keep_until: None,
            traceparent: None,
            unknown: UnknownFields::NONE,
        }
    }

    #[test]
    fn a_new_job_has_every_field_and_null_for_absent_values() {
        let meta = meta();
        let head = State::Queued { not_before: None };
        let position = QueuePosition::of_new(&meta, 2, &head, &ClassSpeed::default(), TimeMs(0));
        let shown: Value =
            serde_json::from_slice(&new_job(&meta, position, &TimeMs::rfc3339).unwrap()).unwrap();
        let expected = json!({
            "id": meta.id, "object": "job", "status": "queued", "session_id": null,
            "model": "simulated", "priority": "batch", "created_at": "1970-01-01T00:00:00.000Z",
            "started_at": null, "ended_at": null, "expires_at": "1970-01-01T00:01:00.000Z",
            "queue": {"ahead_in_session": 2, "ahead_in_class": 0, "eta_s": null},
            "output": null, "finish_reason": null, "usage": null, "provider": null, "error": null,
            "attempts": [], "turns_sent": null, "turns_dropped": null, "metadata": {},
        });
        assert_eq!(shown, expected);
    }

    fn completed(worker: &ProcessId) -> Outcome {
        Outcome {
            v: DocumentVersion::FIRST,
            entry: UnknownFields::NONE,
            unknown: UnknownFields::NONE,
            status: Status::Completed,
            started_at: Some(TimeMs(1)),
            ended_at: TimeMs(2),
            fence: 1,
            settled_fence: 1,
            attempts: vec![Attempt {
                n: 1,
                worker: worker.clone(),
                started_at: TimeMs(1),
                ended_at: Some(TimeMs(2)),
                error: None,
                unknown: UnknownFields::NONE,
            }],
            reply: Some(Reply {
                text: Some(String::from("Hi.")),
                reasoning: None,
                tool_calls: Vec::new(),
                finish_reason: FinishReason::Stop,
                usage: Some(Usage {
                    input_tokens: 3,
                    output_tokens: 1,
                    total_tokens: 4,
                    ..Usage::default()
                }),
                turns_sent: 1,
                turns_dropped: 0,
                unknown: UnknownFields::NONE,
            }),
            error: None,
            provider: Some(String::from("simulated")),
        }
    }

    fn shown(outcome: Outcome) -> Value {
        let record = JobRecord {
            meta: meta(),
            state: JobState::Ended(outcome),
        };
        serde_json::from_slice(&stored_job(&record, None, &TimeMs::rfc3339).unwrap()).unwrap()
    }

    #[test]
    fn a_completed_job_shows_its_reply_and_its_attempts() {
        let worker = ProcessId::fresh("worker");
        let shown = shown(completed(&worker));
        assert_eq!(shown["output"], json!({"text": "Hi.", "tool_calls": []}));
        assert_eq!(shown["finish_reason"], "stop");
        assert_eq!(shown["usage"]["total_tokens"], 4);
        assert_eq!(
            (&shown["turns_sent"], &shown["turns_dropped"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(
            shown["attempts"],
            json!([{
                "n": 1, "worker": worker, "started_at": "1970-01-01T00:00:00.001Z",
                "ended_at": "1970-01-01T00:00:00.002Z", "error": null,
            }])
        );
    }

    #[test]
    fn a_job_shows_cached_and_reasoning_tokens_if_they_are_reported() {
        let mut outcome = completed(&ProcessId::fresh("worker"));
        let usage = shown(outcome.clone())["usage"].take();
        let expected = json!({"input_tokens": 3, "output_tokens": 1, "total_tokens": 4});
        assert_eq!(usage, expected);
        let reply = outcome.reply.as_mut().expect("the job has a reply");
        let usage = reply.usage.as_mut().expect("the reply has a usage");
        (usage.cached_input_tokens, usage.reasoning_tokens) = (Some(2), Some(0));
        let usage = shown(outcome)["usage"].take();
        assert_eq!(usage["cached_input_tokens"], 2);
        assert_eq!(usage["reasoning_tokens"], 0);
    }

    #[test]
    fn a_reply_with_reasoning_only_shows_the_reasoning() {
        let mut outcome = completed(&ProcessId::fresh("worker"));
        let reply = outcome.reply.as_mut().expect("the job has a reply");
        (reply.text, reply.reasoning) = (None, Some(String::from("It is 4.")));
        let expected = json!({"text": null, "reasoning": "It is 4.", "tool_calls": []});
        assert_eq!(shown(outcome)["output"], expected);
    }

    #[test]
    fn an_error_shows_the_text_of_an_unfinished_reply() {
        let mut outcome = completed(&ProcessId::fresh("worker"));
        let detail = Some(String::from("The answer is"));
        outcome.error = Some(JobError::new("provider_error", "no").with_detail(detail));
        let expected =
            json!({"code": "provider_error", "message": "no", "detail": "The answer is"});
        assert_eq!(shown(outcome)["error"], expected);
    }
}
