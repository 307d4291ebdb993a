//! A process does not change a document of a newer version.
//!
//! The tests raise the version of stored documents, as if a newer release had written them, and check that the processes
//! do not change them. Then the tests set version 1 again, and the processes continue.

use e2e::{
    client::{Answer, id_of},
    fleet::{Fleet, TIMEOUT, UNREADABLE},
};
use scripted_provider::{Gate, Recorded, ScriptedLlm};
use serde_json::{Value, json};

use crate::{installation::Installation, scenario, stored::Stored};

/// A worker's log message about a job that it cannot read.
const NOT_CLAIMED: &str = "only a worker of a newer release can run the job";
/// A sweeper's log message about a lane that it cannot read.
const NOT_SWEPT: &str = "only a process of a newer release can act on it";
/// A worker's log message about a reply for a lane that it cannot read.
const NOT_SETTLED: &str = "the outcome of an attempt could not be committed and is lost";

/// The request body that submits the turn with this number.
fn submission(n: u64) -> Value {
    json!({"session_id": "s", "input": format!("turn={n}")})
}

/// Completes one job of a session, and starts a second job, which runs until the gate opens. Returns the id of the second
/// job.
async fn start_second_job(installation: &Installation, llm: &ScriptedLlm) -> (String, Gate) {
    let client = installation.client();
    let first = client.submit_ok(&submission(0)).await;
    scenario::wait_for_end(client, id_of(&first)).await;
    let gate = llm.gate_all_requests();
    let job = id_of(&client.submit_ok(&submission(1)).await).to_owned();
    let is_called = |records: &[Recorded]| records.iter().any(Recorded::is_in_flight);
    llm.wait_for("the call of the second job", is_called).await;
    (job, gate)
}

/// Sets the version of all documents of a kind to 3, which no kind has, and returns the documents.
async fn make_newer(installation: &Installation, kind: &'static str) -> Vec<Value> {
    let stored = installation.stored();
    stored.set_version(kind, 3).await;
    stored.documents(kind).await
}

/// Asserts that the documents of a kind are unchanged, and sets their version back to 1.
async fn make_readable(installation: &Installation, kind: &'static str, newer: Vec<Value>) {
    let stored = installation.stored();
    assert_eq!(stored.documents(kind).await, newer, "{kind}");
    stored.set_version(kind, 1).await;
}

/// Asserts that the second job completes with its second attempt, and that the session has the four turns of both jobs.
async fn assert_completes(installation: &Installation, job: &str) {
    let job = scenario::wait_for_end(installation.client(), job).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["attempts"].as_array().map(Vec::len), Some(2), "{job}");
    let session = installation.client().session("s").await.expect(200);
    let turns = session["turns"].as_array().map(Vec::len);
    assert_eq!(turns, Some(4), "{session}");
}

/// Asserts that a gateway has refused a request because of a newer document.
fn assert_refused(answer: Answer) {
    assert_eq!(answer.header("retry-after"), Some("2"), "{answer:?}");
    assert_eq!(answer.expect(503)["code"], "store_unavailable");
}

/// The body of an answer without `expires_at`, which a read of a session changes.
fn without_expiry(answer: Answer) -> Value {
    assert!(answer.status.is_success(), "{answer:?}");
    let mut body = answer.body;
    body["expires_at"] = Value::Null;
    body
}

#[tokio::test]
async fn a_worker_does_not_claim_a_job_whose_lane_or_request_is_newer() {
    for kind in ["lane", "request"] {
        let llm = ScriptedLlm::start().await;
        let fleet = Fleet::builder().openai(&llm).gateways(1).workers(0);
        let mut fleet = fleet.env("FOREBAY_LOG", "debug").start().await;
        let job = fleet.client.submit_ok(&submission(0)).await;
        Stored::Redis(&fleet.redis).set_version(kind, 3).await;
        let worker = fleet.add_worker().await;
        worker.wait_for_log(NOT_CLAIMED, TIMEOUT).await;
        Stored::Redis(&fleet.redis).set_version(kind, 1).await;
        let job = scenario::wait_for_end(&fleet.client, id_of(&job)).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
        let was_moved = fleet.has_ready_message(UNREADABLE).await;
        assert!(!was_moved, "a worker moved the message to {UNREADABLE}");
    }
}

#[tokio::test]
async fn a_worker_does_not_continue_a_job_whose_request_or_session_is_newer() {
    for kind in ["request", "turn"] {
        let llm = ScriptedLlm::start().await;
        for mut installation in Installation::start_each(&llm).await {
            let (job, gate) = start_second_job(&installation, &llm).await;
            installation.kill().await;
            gate.open();
            let newer = make_newer(&installation, kind).await;
            installation.restart().await;
            installation.wait_for_log(NOT_CLAIMED).await;
            make_readable(&installation, kind, newer).await;
            assert_completes(&installation, &job).await;
        }
    }
}

#[tokio::test]
async fn the_sweeper_and_the_gateway_do_not_change_a_newer_lane() {
    let llm = ScriptedLlm::start().await;
    for mut installation in Installation::start_each(&llm).await {
        let (job, gate) = start_second_job(&installation, &llm).await;
        installation.kill().await;
        gate.open();
        let newer = make_newer(&installation, "lane").await;
        installation.restart().await;
        // The worker of the job is gone, so the sweeper would queue the job again.
        installation.wait_for_log(NOT_SWEPT).await;
        let client = installation.client();
        assert_refused(client.job(&job).await);
        assert_refused(client.cancel(&job).await);
        assert_refused(client.submit(&submission(2)).await);
        make_readable(&installation, "lane", newer).await;
        assert_completes(&installation, &job).await;
    }
}

#[tokio::test]
async fn a_reply_for_a_newer_lane_is_dropped_and_the_lane_is_unchanged() {
    let llm = ScriptedLlm::start().await;
    for mut installation in Installation::start_each(&llm).await {
        let (job, gate) = start_second_job(&installation, &llm).await;
        let newer = make_newer(&installation, "lane").await;
        gate.open();
        installation.wait_for_log(NOT_SETTLED).await;
        let outcomes = installation.stored().documents("outcome").await;
        assert_eq!(
            outcomes.len(),
            1,
            "only the first job should have an outcome"
        );
        // Another worker takes the job over.
        installation.kill().await;
        make_readable(&installation, "lane", newer).await;
        installation.restart().await;
        assert_completes(&installation, &job).await;
    }
}

#[tokio::test]
async fn a_gateway_answers_503_while_a_document_has_a_newer_version() {
    const KEY: &str = "key";
    let llm = ScriptedLlm::start().await;
    for installation in Installation::start_each(&llm).await {
        let client = installation.client();
        let job = client
            .submit_with_key(&submission(0), KEY)
            .await
            .expect(202);
        let job = id_of(&job).to_owned();
        scenario::wait_for_end(client, &job).await;
        for kind in ["meta", "outcome", "turn", "key"] {
            let read = async || match kind {
                "turn" => client.session("s").await,
                "key" => client.submit_with_key(&submission(0), KEY).await,
                _ => client.job(&job).await,
            };
            let before = without_expiry(read().await);
            let newer = make_newer(&installation, kind).await;
            assert_refused(read().await);
            make_readable(&installation, kind, newer).await;
            assert_eq!(without_expiry(read().await), before, "{kind}");
        }
    }
}
