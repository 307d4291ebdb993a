//! A fleet without workers. The gateways still publish the messages of due retries, and they expire jobs.

use std::time::{Duration, Instant};

use e2e::{
    client::id_of,
    fleet::{Fleet, INTERACTIVE, TIMEOUT, poll_until},
};
use scripted_provider::{ProviderError, ScriptedLlm};
use serde_json::json;

use crate::test_lock;

/// The `Retry-After` of the provider.
const RETRY_AFTER_S: u64 = 15;
/// The longest time that the sweeper may take to act on a due timer: to publish the message of a retry, or to expire a
/// job.
const SWEEP_DELAY_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn when_a_retry_is_due_its_message_is_ready_in_rabbitmq() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    llm.queue_replies(
        "turn=0",
        [ProviderError::new(500, "try again")
            .with_retry_after_s(RETRY_AFTER_S)
            .into()],
    );
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let job = json!({ "session_id": "s", "input": "turn=0" });
    let id = id_of(&fleet.client.submit_until_ok(&job, TIMEOUT).await).to_owned();
    llm.wait_for("the provider's refusal", |records| {
        records.first().is_some_and(|record| !record.is_in_flight())
    })
    .await;
    // The worker got the refusal after its call had arrived, so the retry is not due earlier than this.
    let due = llm.recorded()[0].request.arrived_at + Duration::from_secs(RETRY_AFTER_S);
    let waits_for_retry = |counts: &serde_json::Value| counts["retry_wait"] == 1;
    fleet
        .wait_for_counts("one job that waits for its retry", TIMEOUT, waits_for_retry)
        .await;
    fleet.workers[0].sigterm();
    assert_eq!(fleet.workers[0].wait_exit(TIMEOUT).await.code(), Some(0));
    assert!(
        Instant::now() < due,
        "the retry was due before the worker ended, so the test shows nothing"
    );
    assert!(
        !fleet.has_ready_message(INTERACTIVE).await,
        "a message was published before the retry was due"
    );

    let published = poll_until(TIMEOUT, async || fleet.has_ready_message(INTERACTIVE).await).await;
    let ready = Instant::now();
    assert!(published, "no message was published for the due retry");
    let delay = ready.saturating_duration_since(due);
    println!("the message was ready {delay:?} after the retry was due");
    assert!(
        ready >= due,
        "the message was ready {:?} before the retry was due",
        due - ready
    );
    assert!(
        delay <= SWEEP_DELAY_MAX,
        "the message was ready {delay:?} after the retry was due; at most {SWEEP_DELAY_MAX:?} is allowed"
    );
    let is_ready = |counts: &serde_json::Value| counts["ready"] == 1 && counts["live"] == 1;
    fleet
        .wait_for_counts("one ready job", TIMEOUT, is_ready)
        .await;
    fleet.wait_for_ready_messages(INTERACTIVE, 1, TIMEOUT).await;

    fleet.add_worker().await;
    let job = fleet.client.wait(&id, TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
}

#[tokio::test]
async fn a_job_past_its_deadline_becomes_expired() {
    let _guard = test_lock::shared().await;
    let fleet = Fleet::builder().workers(0).start().await;
    let submit = async |session: &str, expires_in_s: serde_json::Value| {
        let mut job = json!({ "session_id": session, "input": "hello" });
        job["expires_in_s"] = expires_in_s;
        id_of(&fleet.client.submit_until_ok(&job, TIMEOUT).await).to_owned()
    };
    let single = submit("a", json!(1)).await;
    let head = submit("b", json!(3_600)).await;
    let behind = submit("b", json!(1)).await;
    let began = Instant::now();
    for id in [&single, &behind] {
        let job = fleet.client.wait(id, TIMEOUT).await;
        assert_eq!(job["status"], "expired", "{job}");
        assert_eq!(job["attempts"], json!([]), "{job}");
    }
    let took = began.elapsed();
    println!("the jobs expired {took:?} after their submit");
    assert!(
        took <= Duration::from_secs(1) + SWEEP_DELAY_MAX,
        "the jobs expired {took:?} after their submit, which is too late"
    );
    let path = format!("/v1/jobs/{head}");
    let job = fleet.client.get_until_ok(&path, TIMEOUT).await;
    assert_eq!(job["status"], "queued", "{job}");
}
