//! `expires_in_s`: a job that has not ended by its deadline becomes `expired`, both while it waits and while it runs.

use std::time::Duration;

use scripted_provider::{ProviderError, Recorded};
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// The time from a submit to the deadline of the job, in seconds.
const EXPIRES_IN_S: u64 = 3;

fn expiring_job(session: &str, text: &str, expires_in_s: u64) -> Value {
    json!({ "session_id": session, "input": text, "expires_in_s": expires_in_s })
}

/// Submits a job whose call begins before the deadline, as the first job of session `s`. Returns its id and the time to
/// its deadline in seconds. On a busy machine, a job can expire before its call. Then the next job gets more time.
async fn submit_called(fixture: &Fixture, text: &str) -> (String, u64) {
    let mut expires_in_s = EXPIRES_IN_S;
    loop {
        let id = fixture.submit(&expiring_job("s", text, expires_in_s)).await;
        tokio::select! {
            biased;
            _ = fixture.llm.wait_for_requests(1) => return (id, expires_in_s),
            _ = fixture.wait(&id) => {
                if !fixture.llm.recorded().is_empty() {
                    return (id, expires_in_s);
                }
            }
        }
        expires_in_s *= 4;
    }
}

fn assert_expired(job: &Value) {
    assert_eq!(job["status"], "expired", "{job}");
    assert_eq!(job["error"]["code"], "expired", "{job}");
    assert_eq!(job["output"], Value::Null, "{job}");
    // Both times have the same format, so their texts have the same order as the times.
    assert!(
        job["ended_at"].as_str() >= job["expires_at"].as_str(),
        "the job ended before its deadline: {job}"
    );
}

#[tokio::test]
async fn when_a_running_job_expires_its_call_is_closed_and_the_next_job_runs() {
    let fixture = Fixture::start().await;
    let gate = fixture.llm.gate_all_requests();
    let (first, _) = submit_called(&fixture, "turn=0").await;
    let second = fixture.submit_message("s", "turn=1").await;
    let job = fixture.wait(&first).await;
    assert_expired(&job);
    assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
    let client_disconnected = |records: &[Recorded]| records[0].client_disconnected();
    fixture
        .llm
        .wait_for("the end of the call", client_disconnected)
        .await;
    gate.open();
    assert_eq!(fixture.completed_text(&second).await, "seen:1");
    assert_eq!(fixture.session_turns("s").await.len(), 2);
}

#[tokio::test]
async fn a_job_behind_another_expires_without_a_call() {
    let fixture = Fixture::start().await;
    let gate = fixture.llm.gate_all_requests();
    let first = fixture.submit_message("s", "turn=0").await;
    fixture.wait_for_call("turn=0").await;
    let second = expiring_job("s", "turn=1", EXPIRES_IN_S);
    let second = fixture.submit(&second).await;
    let third = fixture.submit_message("s", "turn=2").await;
    let job = fixture.wait(&second).await;
    assert_expired(&job);
    assert_eq!(job["attempts"], json!([]), "{job}");
    gate.open();
    assert_eq!(fixture.completed_text(&first).await, "seen:0");
    assert_eq!(fixture.completed_text(&third).await, "seen:0,2");
    assert_eq!(fixture.llm.stats().requests, 2);
}

#[tokio::test]
async fn a_job_that_waits_for_its_next_try_expires() {
    let fixture = Fixture::with(&[("FOREBAY_BACKOFF_MS", "60000")]).await;
    fixture
        .llm
        .queue_replies("turn=0", [ProviderError::server_error().into()]);
    let (first, _) = submit_called(&fixture, "turn=0").await;
    let job = fixture.wait(&first).await;
    assert_expired(&job);
    assert_eq!(
        job["attempts"][0]["error"]["code"], "provider_error",
        "{job}"
    );
    assert_eq!(fixture.llm.stats().requests, 1);
}

#[tokio::test]
async fn a_job_whose_deadline_passes_while_no_process_runs_expires_after_the_next_start() {
    let mut fixture = Fixture::start().await;
    let _gate = fixture.llm.gate_all_requests();
    let (id, expires_in_s) = submit_called(&fixture, "turn=0").await;
    fixture.forebay.kill9().await;
    // The deadline passes while no process runs.
    tokio::time::sleep(Duration::from_secs(expires_in_s)).await;
    fixture.restart().await;
    assert_expired(&fixture.wait(&id).await);
    assert_eq!(fixture.llm.stats().requests, 1);
}
