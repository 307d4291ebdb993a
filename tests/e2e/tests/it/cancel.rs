//! A cancel closes the running call of a job, and the next job of the session runs.

use scripted_provider::Recorded;
use serde_json::{Value, json};

use crate::fixture::Fixture;

#[tokio::test]
async fn a_running_call_is_closed_and_the_next_job_runs() {
    let fixture = Fixture::start().await;
    let gate = fixture.llm.gate_all_requests();
    let first = fixture.submit_message("s", "turn=0").await;
    fixture.wait_for_call("turn=0").await;
    let second = fixture.submit_message("s", "turn=1").await;

    let cancelled = fixture.client.cancel(&first).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    assert_eq!(cancelled["error"]["code"], "cancelled", "{cancelled}");
    assert_eq!(cancelled["output"], Value::Null);
    assert_eq!(cancelled["attempts"].as_array().map(Vec::len), Some(1));
    assert!(
        cancelled["attempts"][0]["ended_at"].is_string(),
        "the attempt has not ended: {cancelled}"
    );
    let client_disconnected = |records: &[Recorded]| records[0].client_disconnected();
    fixture
        .llm
        .wait_for("the end of the call", client_disconnected)
        .await;

    fixture.wait_for_call("turn=1").await;
    gate.open();
    assert_eq!(fixture.completed_text(&second).await, "seen:1");
    assert_eq!(
        fixture.session_turns("s").await,
        ["user: turn=1", "assistant: seen:1"]
    );
    assert_eq!(
        fixture.wait(&first).await,
        cancelled,
        "the cancelled job has changed"
    );
    assert_eq!(fixture.llm.stats().requests, 2);
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_without_a_call() {
    let fixture = Fixture::start().await;
    let gate = fixture.llm.gate_all_requests();
    let first = fixture.submit_message("s", "turn=0").await;
    fixture.wait_for_call("turn=0").await;
    let second = fixture.submit_message("s", "turn=1").await;
    let third = fixture.submit_message("s", "turn=2").await;
    let cancelled = fixture.client.cancel(&second).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    assert_eq!(cancelled["attempts"], json!([]), "{cancelled}");
    assert_eq!(cancelled["started_at"], Value::Null);
    gate.open();
    assert_eq!(fixture.completed_text(&first).await, "seen:0");
    assert_eq!(fixture.completed_text(&third).await, "seen:0,2");
    assert_eq!(fixture.llm.stats().requests, 2);
}

#[tokio::test]
async fn a_job_that_waits_for_its_next_try_is_cancelled() {
    let fixture = Fixture::with(&[("FOREBAY_BACKOFF_MS", "60000")]).await;
    let error = scripted_provider::ProviderError::server_error();
    fixture.llm.queue_replies("turn=0", [error.into()]);
    let first = fixture.submit_message("s", "turn=0").await;
    let second = fixture.submit_message("s", "turn=1").await;
    fixture.llm.wait_for_requests(1).await;
    // The cancel works even if the provider's error is not yet committed.
    let cancelled = fixture.client.cancel(&first).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    assert_eq!(fixture.completed_text(&second).await, "seen:1");
}

#[tokio::test]
async fn a_job_without_a_session_is_cancelled_too() {
    let fixture = Fixture::start().await;
    let _gate = fixture.llm.gate_all_requests();
    let id = fixture
        .submit(&json!({ "input": "without a session" }))
        .await;
    fixture.wait_for_call("without a session").await;
    let cancelled = fixture.client.cancel(&id).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    let client_disconnected = |records: &[Recorded]| records[0].client_disconnected();
    fixture
        .llm
        .wait_for("the end of the call", client_disconnected)
        .await;
    fixture.wait_for_live_jobs(0).await;
}
