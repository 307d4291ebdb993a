//! A rolling upgrade: a newer release has written documents with fields that this release does not know. Processes of
//! this release run the jobs to their end, and the documents keep all these fields.

use e2e::{
    client::{Client, id_of},
    fleet::{BATCH, Fleet, INTERACTIVE, TIMEOUT},
    process::Forebay,
};
use scripted_provider::{Gate, ProviderError, ScriptedLlm, ScriptedReply};
use serde_json::{Value, json};

use crate::{
    fixture::DATABASE,
    scenario,
    stored::{Stored, add_field, assert_kept},
};

/// The idempotency key of the retried job.
const KEY: &str = "key";

/// The ids of two jobs of one session: a job that is retried, and the job behind it.
struct Jobs {
    retried: String,
    behind: String,
}

/// The request body that submits the retried job.
fn retried_submission() -> Value {
    let function = json!({"name": "look", "parameters": {"type": "object"}});
    json!({
        "session_id": "s", "metadata": {"k": "v"},
        "input": [{"role": "user", "content": [
            {"type": "text", "text": "turn=1", "extra_content": {"a": 1}},
            {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        ]}],
        "tools": [{"type": "function", "function": function}], "tool_choice": "auto",
        "response_format": {"type": "json_object"}, "reasoning_effort": "low",
    })
}

/// Creates a session with two turns, a job that waits for its next try, and a job behind it. Returns the ids of both jobs,
/// and the gate at which the call of the second job will wait.
async fn submit(client: &Client, llm: &ScriptedLlm) -> (Jobs, Gate) {
    let busy = |seconds| {
        let failure = ProviderError::new(500, "busy").with_retry_after_s(seconds);
        ScriptedReply::Error(failure)
    };
    // The first wait is long, so that the test can change the documents during it.
    llm.queue_replies("turn=1", [busy(10), busy(1)]);
    let gate = llm.gate_requests(|request| request.last_user_text().contains("turn=2"));
    let first = json!({"session_id": "s", "input": "turn=0"});
    let first = client.submit_ok(&first).await;
    scenario::wait_for_end(client, id_of(&first)).await;
    let answer = client.submit_with_key(&retried_submission(), KEY).await;
    let retried = id_of(&answer.expect(202)).to_owned();
    let behind = json!({"session_id": "s", "input": "turn=2"});
    let behind = id_of(&client.submit_ok(&behind).await).to_owned();
    scenario::wait_until(client, &retried, |job| {
        job["status"] == "queued" && job["attempts"][0]["error"].is_object()
    })
    .await;
    (Jobs { retried, behind }, gate)
}

/// Waits until both jobs have ended. Asserts that the documents kept the unknown fields, while the second job runs and
/// after its end.
async fn finish(client: &Client, jobs: &Jobs, gate: Gate, stored: &Stored<'_>) {
    let job = scenario::wait_for_end(client, &jobs.retried).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["attempts"].as_array().map(Vec::len), Some(3), "{job}");
    let running = |job: &Value| job["status"] == "in_progress";
    scenario::wait_until(client, &jobs.behind, running).await;
    let lanes = stored.documents("lane").await;
    let [lane] = &lanes[..] else {
        panic!("the store must have one lane: {lanes:?}");
    };
    assert_kept(lane, "a lane");
    assert_kept(&lane["entries"][0], "an entry");
    assert_kept(&lane["entries"][0]["state"]["running"], "a state");
    gate.open();
    let job = scenario::wait_for_end(client, &jobs.behind).await;
    assert_eq!(job["status"], "completed", "{job}");

    for kind in ["meta", "request", "key"] {
        let documents = stored.documents(kind).await;
        assert!(
            !documents.is_empty(),
            "the store has no document of the kind {kind}"
        );
        for document in documents {
            assert_kept(&document, kind);
        }
    }
    let outcomes = stored.documents("outcome").await;
    assert_eq!(outcomes.len(), 3);
    let is_retried = |outcome: &&Value| outcome["attempts"].as_array().map(Vec::len) == Some(3);
    let outcome = outcomes
        .iter()
        .find(is_retried)
        .expect("the retried job has an outcome");
    assert_kept(&outcome["entry"], "the entry of an ended job");
    assert_kept(&outcome["entry"]["state"], "the state of an ended job");
    assert_kept(&outcome["attempts"][0], "an attempt");
    assert_kept(&outcome["attempts"][0]["error"], "the error of an attempt");

    let turns = stored.documents("turn").await;
    assert_eq!(turns.len(), 6, "{turns:?}");
    for turn in turns.iter().filter(|turn| turn["role"] == "user") {
        assert_kept(turn, "a turn");
    }
    assert_kept(&turns[1], "the turn of an earlier reply");
    let parts = &turns[2]["content"];
    assert_kept(&parts[0], "a text part");
    assert_kept(&parts[1], "an image");
    assert_kept(&parts[1]["image_url"], "the URL of an image");

    let answer = client.submit_with_key(&retried_submission(), KEY).await;
    assert_eq!(id_of(&answer.expect(202)), jobs.retried);
}

#[tokio::test]
async fn jobs_in_sqlite_keep_all_unknown_fields() {
    let llm = ScriptedLlm::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let builder = Forebay::builder().openai(&llm);
    let builder = builder.env("FOREBAY_MODEL", "gpt-test");
    let builder = builder.data_dir(folder.path());
    let mut forebay = builder.start().await;
    let client = Client::new(forebay.url());
    let (jobs, gate) = submit(&client, &llm).await;
    forebay.kill9().await;
    let stored = Stored::Sqlite(folder.path().join(DATABASE));
    stored.add_future_fields().await;
    let forebay = builder.start().await;
    client.set_url(forebay.url());
    finish(&client, &jobs, gate, &stored).await;
}

#[tokio::test]
async fn jobs_in_redis_and_rabbitmq_keep_all_unknown_fields() {
    let llm = ScriptedLlm::start().await;
    let fleet = Fleet::builder().openai(&llm).gateways(1).workers(1);
    let mut fleet = fleet.start().await;
    let (jobs, gate) = submit(&fleet.client, &llm).await;
    fleet.gateways[0].kill9().await;
    fleet.workers[0].kill9().await;
    Stored::Redis(&fleet.redis).add_future_fields().await;
    fleet.restart_gateway(0).await;
    let ready = async || fleet.has_ready_message(INTERACTIVE).await;
    assert!(
        e2e::fleet::poll_until(TIMEOUT, ready).await,
        "the queue {INTERACTIVE} has no ready message"
    );
    // Replace each message by the same message with an unknown field.
    for queue in [INTERACTIVE, BATCH] {
        let remove = true;
        let messages = fleet.vhost.get_messages(queue, 100, remove).await;
        for message in messages.expect("RabbitMQ returns the messages") {
            let payload = message["payload"].as_str().expect("the payload is text");
            let mut payload: Value = serde_json::from_str(payload).expect("the payload is JSON");
            add_field(&mut payload);
            let payload = payload.to_string();
            let published = fleet.vhost.publish_raw(queue, payload.as_bytes());
            published.await.expect("the message is published");
        }
    }
    fleet.restart_worker(0).await;
    finish(&fleet.client, &jobs, gate, &Stored::Redis(&fleet.redis)).await;
    let remove = false;
    let unreadable = fleet
        .vhost
        .get_messages(e2e::fleet::UNREADABLE, 1, remove)
        .await;
    assert!(
        unreadable
            .expect("RabbitMQ returns the messages")
            .is_empty(),
        "a worker could not read a message with an unknown field"
    );
}
