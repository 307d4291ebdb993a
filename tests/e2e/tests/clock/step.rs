//! What users see when a clock is set while jobs are under way.

use std::time::{Duration, Instant};

use e2e::{
    client::{Client, id_of},
    fleet::{TIMEOUT, poll_until},
    slowdown,
};
use scripted_provider::{Recorded, ScriptedLlm, ScriptedReply};
use serde_json::{Value, json};

/// How long a retry that is due after 0.2 s may take on an idle machine.
const RETRIED_WITHIN: Duration = Duration::from_secs(3);
/// How long a session's next job may take on an idle machine.
const NEXT_RUNS_WITHIN: Duration = Duration::from_secs(3);
/// How much a time that is shown may differ from the clock: the age of the job, on a busy machine.
const SHOWN_TIME_ERROR_MS: i64 = 120_000;

/// Makes a session without live jobs.
pub(crate) async fn make_idle_session(client: &Client) {
    let idle = submit(client, "idle", "first").await;
    assert_eq!(client.wait(&idle, TIMEOUT).await["status"], "completed");
}

/// Sets a clock with `set_clock` while a call runs, a retry waits, and a client waits. Afterwards, the times
/// that are shown must be the real times plus `shown_offset_s`.
pub(crate) async fn check(
    client: &Client,
    llm: &ScriptedLlm,
    name: &str,
    shown_offset_s: i64,
    set_clock: impl FnOnce(),
) {
    let began = slowdown::measure();
    let held = format!("{name}-held");
    let gate = gate(llm, &held);
    let session = format!("{name}-running");
    let running = submit(client, &session, &held).await;
    let next = submit(client, &session, &format!("{name}-next")).await;
    let waiting = tokio::spawn({
        let (client, running) = (client.clone(), running.clone());
        async move { client.wait(&running, TIMEOUT).await }
    });
    wait_for_call(llm, &held).await;

    let failing = format!("{name}-fails-once");
    let error = json!({"error": {"message": "try again", "type": "server_error"}});
    llm.queue_replies(&failing, [ScriptedReply::json(500, error)]);
    let retried = submit(client, &format!("{name}-retried"), &failing).await;
    let is_answered = |record: &Recorded| {
        record.request.last_user_text().contains(&failing) && !record.is_in_flight()
    };
    llm.wait_for("the failed try", |records| records.iter().any(is_answered))
        .await;
    set_clock();
    let stepped = Instant::now();

    let retried = completed(client, &retried).await;
    let what = format!("{name}: the retry after the step");
    slowdown::assert_within(RETRIED_WITHIN, began, stepped.elapsed(), &what);
    assert_eq!(retried["attempts"].as_array().map(Vec::len), Some(2));

    assert_eq!(status(client, &running).await, "in_progress");
    let opened = Instant::now();
    gate.open();
    let running = waiting.await.expect("the waiting client gets its answer");
    assert_eq!(running["status"], "completed", "{running}");
    let attempts = running["attempts"].as_array().map(Vec::len);
    assert_eq!(attempts, Some(1), "the call was repeated: {running}");
    completed(client, &next).await;
    let what = format!("{name}: the session's next job");
    slowdown::assert_within(NEXT_RUNS_WITHIN, began, opened.elapsed(), &what);
    assert_eq!(llm.recorded_with(&held).len(), 1);

    let idle = client.get_until_ok("/v1/sessions/idle", TIMEOUT).await;
    assert_eq!(idle["turn_count"], 2, "{idle}");
    // The job was created before the step, and is shown with the times of the new clock.
    wait_until_shown(client, &running, shown_offset_s).await;
}

/// Holds back the replies to calls with this text.
pub(crate) fn gate(llm: &ScriptedLlm, text: &str) -> scripted_provider::Gate {
    let text = text.to_owned();
    llm.gate_requests(move |request| request.last_user_text().contains(&text))
}

/// Waits until a call with this text is in flight.
pub(crate) async fn wait_for_call(llm: &ScriptedLlm, text: &str) {
    let is_in_flight =
        |record: &Recorded| record.request.last_user_text().contains(text) && record.is_in_flight();
    llm.wait_for(text, |records| records.iter().any(is_in_flight))
        .await;
}

pub(crate) async fn submit(client: &Client, session: &str, text: &str) -> String {
    let job = json!({ "session_id": session, "input": text });
    let key = format!("{session}-{text}");
    let job = client.submit_until_accepted(&job, &key, TIMEOUT).await;
    id_of(&job).to_owned()
}

/// Waits until the job has ended, and asserts that it completed.
pub(crate) async fn completed(client: &Client, id: &str) -> Value {
    let job = client.wait(id, TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
    job
}

async fn status(client: &Client, id: &str) -> Value {
    let job = client
        .get_until_ok(&format!("/v1/jobs/{id}"), TIMEOUT)
        .await;
    job["status"].clone()
}

/// Waits until a job of the last minutes is shown with the times of a clock with this offset. A gateway of a fleet learns the
/// clock of Redis once a second.
pub(crate) async fn wait_until_shown(client: &Client, job: &Value, offset_s: i64) {
    let path = format!("/v1/jobs/{}", id_of(job));
    let mut shown = job.clone();
    let is_right = async || {
        shown = client.get_until_ok(&path, TIMEOUT).await;
        let times = [&shown["created_at"], &shown["ended_at"]];
        times.iter().all(|time| has_offset(time, offset_s))
    };
    assert!(
        poll_until(TIMEOUT, is_right).await,
        "the times are not those of the clock: {shown}"
    );
}

/// Whether `shown`, which is a time of the last minutes, comes from a clock with this offset.
fn has_offset(shown: &Value, offset_s: i64) -> bool {
    let text = shown.as_str().expect("a time is shown");
    let shown: jiff::Timestamp = text.parse().expect("the time is in the form of RFC 3339");
    let clock_ms = jiff::Timestamp::now().as_millisecond() + offset_s * 1_000;
    (clock_ms - shown.as_millisecond()).abs() < SHOWN_TIME_ERROR_MS
}
