//! The process gets SIGTERM. Jobs whose calls end within the drain time complete. The other jobs are released, which
//! costs no try, and they complete after the next start.

use scripted_provider::{ChatRequest, Recorded};
use serde_json::{Value, json};

use crate::fixture::{Fixture, TIMEOUT};

/// A job may have one try only, so a release that costs a try would fail its job.
const ONE_TRY: (&str, &str) = ("FOREBAY_TRIES_MAX", "1");

fn count_requests(fixture: &Fixture, text: &str) -> usize {
    fixture.llm.recorded_with(text).len()
}

#[tokio::test]
async fn calls_within_the_drain_time_complete_and_other_jobs_are_released_without_a_lost_try() {
    // The quick calls end in this time on a busy machine too.
    let mut fixture = Fixture::with(&[("FOREBAY_DRAIN_S", "10"), ONE_TRY]).await;
    let quick = fixture
        .llm
        .gate_requests(|request: &ChatRequest| request.last_user_text().contains("quick"));
    let slow = fixture
        .llm
        .gate_requests(|request: &ChatRequest| request.last_user_text().contains("slow"));
    let mut ids = Vec::new();
    for text in ["quick 1", "quick 2", "slow 1", "slow 2", "slow 3"] {
        ids.push((
            text,
            fixture.submit_message(&text.replace(' ', "-"), text).await,
        ));
        fixture.wait_for_call(text).await;
    }
    // This job waits behind a call that will end during the drain. The process must not claim this job.
    let behind = fixture.submit_message("quick-1", "behind").await;

    fixture.forebay.sigterm();
    fixture
        .forebay
        .wait_for_log("the worker stops", TIMEOUT)
        .await;
    // During the drain, clients can still fetch jobs.
    let first = ids[0].1.clone();
    let client = fixture.client.clone();
    let wait = tokio::spawn(async move { client.wait(&first, TIMEOUT).await });
    quick.open();
    let job = wait.await.expect("the wait does not panic");
    assert_eq!(job["status"], "completed", "{job}");
    let status = fixture.forebay.wait_exit(TIMEOUT).await;
    assert_eq!(status.code(), Some(0), "{status}");
    let client_disconnected = |records: &[Recorded]| {
        records
            .iter()
            .filter(|record| record.client_disconnected())
            .count()
            == 3
    };
    fixture
        .llm
        .wait_for("the end of three calls", client_disconnected)
        .await;
    assert_eq!(count_requests(&fixture, "behind"), 0);

    fixture.restart().await;
    let assert_completed = |id: &str, attempts: usize, job: &Value| {
        assert_eq!(job["status"], "completed", "{id}: {job}");
        let attempt_count = job["attempts"].as_array().map(Vec::len);
        assert_eq!(attempt_count, Some(attempts), "{id}: {job}");
    };
    slow.open();
    for (text, id) in &ids {
        let job = fixture.wait(id).await;
        if text.starts_with("quick") {
            assert_completed(id, 1, &job);
            assert_eq!(count_requests(&fixture, text), 1);
        } else {
            assert_completed(id, 2, &job);
            assert_eq!(job["attempts"][0]["error"]["code"], "released", "{job}");
            assert_eq!(count_requests(&fixture, text), 2);
        }
    }
    assert_completed(&behind, 1, &fixture.wait(&behind).await);
}

#[tokio::test]
async fn an_idle_process_ends_before_its_drain_time_has_passed() {
    // The drain time is longer than the wait for the end of the process.
    let mut fixture = Fixture::with(&[("FOREBAY_DRAIN_S", "1000")]).await;
    let id = fixture.submit_message("s", "turn=0").await;
    fixture.completed_text(&id).await;
    fixture.forebay.sigterm();
    let status = fixture.forebay.wait_exit(TIMEOUT).await;
    assert_eq!(status.code(), Some(0), "{status}");
}

#[tokio::test]
async fn released_jobs_run_again_before_the_presence_of_the_old_process_expires() {
    // The presence lasts a minute. Without the release, another process would requeue the job only after that.
    let presence = ("FOREBAY_PRESENCE_MS", "60000");
    let mut fixture = Fixture::with(&[("FOREBAY_DRAIN_S", "0"), ONE_TRY, presence]).await;
    let gate = fixture.llm.gate_all_requests();
    let id = fixture
        .submit(&json!({ "session_id": "s", "input": "turn=0" }))
        .await;
    fixture.wait_for_call("turn=0").await;
    fixture.forebay.sigterm();
    assert_eq!(fixture.forebay.wait_exit(TIMEOUT).await.code(), Some(0));
    fixture.restart().await;
    gate.open();
    assert_eq!(fixture.completed_text(&id).await, "seen:0");
}
