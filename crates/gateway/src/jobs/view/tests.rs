//! Tests of the fields of a job.

use forebay_shared::{
    class::Class,
    document::{DocumentVersion, UnknownFields},
    ids::{JobId, ProcessId, TenantId},
    job::{Attempt, FinishReason, JobError, JobMeta, Outcome, Reply, Status, Usage},
    store::{JobRecord, JobState, LaneHead},
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
        replaces: None,
        traceparent: None,
        unknown: UnknownFields::NONE,
    }
}

#[test]
fn a_new_job_shows_null_for_values_that_it_does_not_have_yet() {
    let meta = meta();
    let head = LaneHead::READY;
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
    let expected = json!({"code": "provider_error", "message": "no", "detail": "The answer is"});
    assert_eq!(shown(outcome)["error"], expected);
}
