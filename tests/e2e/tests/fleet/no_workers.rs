//! A fleet without workers: the gateways still publish the messages of due retries, and expire jobs.

use std::time::{Duration, Instant};

use e2e::{
    client::id_of,
    fleet::{Fleet, INTERACTIVE, LIMIT, until},
};
use scripted_provider::{ProviderError, ScriptedLlm};
use serde_json::json;

use crate::machine;

/// The `Retry-After` of the provider.
const RETRY_AFTER_S: u64 = 15;
/// The longest time from the due time of the retry until RabbitMQ has its message.
const READY_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_due_retry_is_ready_in_rabbitmq() {
    let _machine = machine::beside_others().await;
    let llm = ScriptedLlm::start().await;
    llm.on(
        "turn=0",
        [ProviderError::rate_limited(RETRY_AFTER_S).into()],
    );
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let job = json!({ "session_id": "s", "input": "turn=0" });
    let id = id_of(&fleet.client.submit_ok(&job).await).to_owned();
    llm.wait_for("the refusal", |records| {
        records.first().is_some_and(|record| !record.is_in_flight())
    })
    .await;
    let due = Instant::now() + Duration::from_secs(RETRY_AFTER_S);
    let waits = |counts: &serde_json::Value| counts["retry_wait"] == 1;
    fleet.counts_become("one retry", LIMIT, waits).await;
    fleet.workers[0].sigterm();
    assert_eq!(fleet.workers[0].wait_exit(LIMIT).await.code(), Some(0));
    assert!(
        Instant::now() < due,
        "the retry was due before the worker ended"
    );
    assert!(
        !fleet.has_ready(INTERACTIVE).await,
        "the retry is not due yet"
    );

    let shown = until(LIMIT, async || fleet.has_ready(INTERACTIVE).await).await;
    let ready = Instant::now();
    assert!(shown, "no message became ready");
    let after = ready.saturating_duration_since(due);
    println!("ready {after:?} after it was due");
    assert!(ready >= due, "ready {:?} too early", due - ready);
    assert!(after <= READY_WITHIN, "{after:?}");
    let is_ready = |counts: &serde_json::Value| counts["ready"] == 1 && counts["live"] == 1;
    fleet.counts_become("one ready", LIMIT, is_ready).await;
    fleet.ready_becomes(INTERACTIVE, 1, LIMIT).await;

    fleet.add_worker().await;
    let job = fleet.client.wait(&id, LIMIT).await;
    assert_eq!(job["status"], "completed", "{job}");
}

#[tokio::test]
async fn a_job_past_its_deadline_becomes_expired() {
    let _machine = machine::beside_others().await;
    let fleet = Fleet::builder().workers(0).start().await;
    let submit = async |session: &str, more: serde_json::Value| {
        let mut job = json!({ "session_id": session, "input": "hello" });
        job["expires_in_s"] = more;
        id_of(&fleet.client.submit_ok(&job).await).to_owned()
    };
    let alone = submit("a", json!(1)).await;
    let head = submit("b", json!(3_600)).await;
    let behind = submit("b", json!(1)).await;
    let began = Instant::now();
    for id in [&alone, &behind] {
        let job = fleet.client.wait(id, LIMIT).await;
        assert_eq!(job["status"], "expired", "{job}");
        assert_eq!(job["attempts"], json!([]), "{job}");
    }
    let took = began.elapsed();
    println!("expired {took:?} after their submit");
    assert!(took <= Duration::from_secs(1) + READY_WITHIN, "{took:?}");
    let job = fleet.client.job(&head).await.expect(200);
    assert_eq!(job["status"], "queued", "{job}");
}
