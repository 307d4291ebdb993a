//! `?wait_s=` and `Prefer: wait=`: the gateway answers when the job has ended, or after the timeout with the unfinished
//! job.

use std::time::{Duration, Instant};

use e2e::client::{Answer, is_terminal};
use serde_json::json;
use tokio::task::JoinSet;

use crate::fixture::Fixture;

/// The limit on the time until the waits are answered. It is shorter than their `wait_s` of 60 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(50);

#[tokio::test]
async fn all_waits_are_answered_when_the_job_ends() {
    let fixture = Fixture::start().await;
    let gate = fixture.llm.gate_all_requests();
    let id = fixture.submit_message("s", "turn=0").await;
    fixture.wait_for_call("turn=0").await;
    let mut waits = JoinSet::new();
    for _ in 0..20 {
        let (client, path) = (fixture.client.clone(), format!("/v1/jobs/{id}?wait_s=60"));
        waits.spawn(async move { client.get(&path).await });
    }
    // No wait is answered while the job runs.
    let early = tokio::time::timeout(Duration::from_millis(500), waits.join_next()).await;
    assert!(
        early.is_err(),
        "a wait was answered before the end of the job: {early:?}"
    );

    let began = Instant::now();
    gate.open();
    for answer in waits.join_all().await {
        let job = answer.expect(200);
        assert_eq!(job["status"], "completed", "{job}");
    }
    assert!(
        began.elapsed() < ANSWERED_WITHIN,
        "answered only after {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_wait_is_also_answered_when_the_job_fails_or_is_cancelled() {
    let fixture = Fixture::start().await;
    let gate = fixture.llm.gate_all_requests();
    fixture.llm.queue_replies(
        "fails",
        [scripted_provider::ProviderError::unauthorized().into()],
    );
    let began = Instant::now();
    for (text, status) in [("is cancelled", "cancelled"), ("fails", "failed")] {
        let id = fixture.submit_message("s", text).await;
        fixture.wait_for_call(text).await;
        let (client, path) = (fixture.client.clone(), format!("/v1/jobs/{id}?wait_s=60"));
        let wait = tokio::spawn(async move { client.get(&path).await });
        if status == "cancelled" {
            fixture.client.cancel(&id).await.expect(200);
        } else {
            gate.open();
        }
        let job = wait.await.expect("the request does not panic").expect(200);
        assert_eq!(job["status"], status, "{job}");
    }
    assert!(
        began.elapsed() < ANSWERED_WITHIN,
        "answered only after {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_wait_that_times_out_returns_the_running_job() {
    let fixture = Fixture::start().await;
    let _gate = fixture.llm.gate_all_requests();
    let id = fixture.submit_message("s", "turn=0").await;
    fixture.wait_for_call("turn=0").await;
    let began = Instant::now();
    let answer = fixture.client.get(&format!("/v1/jobs/{id}?wait_s=1")).await;
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_secs(1),
        "answered after {waited:?}"
    );
    assert!(
        answer.header("retry-after").is_some(),
        "the answer has no Retry-After"
    );
    let job = answer.expect(200);
    assert_eq!(job["status"], "in_progress", "{job}");
    let without_wait = fixture.client.job(&id).await.expect(200);
    assert!(
        !is_terminal(&without_wait),
        "the job has ended: {without_wait}"
    );
}

#[tokio::test]
async fn the_preference_wait_is_applied_and_confirmed() {
    let fixture = Fixture::start().await;
    let gate = fixture.llm.gate_all_requests();
    let id = fixture.submit_message("s", "turn=0").await;
    fixture.wait_for_call("turn=0").await;
    let request = fixture
        .client
        .http()
        .get(fixture.client.url_of(&format!("/v1/jobs/{id}")));
    let wait = tokio::spawn(request.header("prefer", "wait=30").send());
    gate.open();
    let response = wait
        .await
        .expect("the request does not panic")
        .expect("the gateway answers");
    let applied = response.headers().get("preference-applied").cloned();
    assert_eq!(applied.expect("the answer has the header"), "wait=30");
    let job: serde_json::Value = response.json().await.expect("the answer is JSON");
    assert_eq!(job["status"], "completed", "{job}");
}

#[tokio::test]
async fn an_invalid_wait_s_is_refused() {
    let fixture = Fixture::start().await;
    let id = fixture.submit_message("s", "turn=0").await;
    for wait_s in ["61", "-1", "x", ""] {
        let answer: Answer = fixture
            .client
            .get(&format!("/v1/jobs/{id}?wait_s={wait_s}"))
            .await;
        let problem = answer.expect(422);
        assert_eq!(problem["errors"][0]["field"], json!("wait_s"), "{problem}");
    }
}
