//! `if_busy`: a client submits a message while its session has a running and a queued job. The session also has an earlier,
//! completed job. The inputs in this table are those of the other three jobs.
//!
//! | `if_busy` | running job | queued job | inputs in the session afterwards | inputs in the call for the new job |
//! | --- | --- | --- | --- | --- |
//! | `enqueue` | completed | completed | all three | all three |
//! | `reject` | completed | completed | the first two | no call: the submit is refused with 409 |
//! | `rollback` | cancelled, call closed | cancelled, never called | the new input | the new input |
//! | `interrupt` | cancelled, call closed | cancelled, never called | all three | all three |

use e2e::client::Answer;
use scripted_provider::{Gate, Recorded};
use serde_json::{Value, json};

use crate::fixture::{Fixture, GPT};

for_both_providers!(
    enqueue_runs_all_jobs,
    reject_refuses_the_new_job,
    rollback_removes_the_inputs_of_cancelled_jobs,
    interrupt_keeps_the_inputs_of_cancelled_jobs,
);

/// A session with a completed, a running and a queued job.
struct BusySession {
    fixture: Fixture,
    model: &'static str,
    gate: Gate,
    running: String,
    queued: String,
}

/// Starts a process and makes the session busy. The gate stops the calls of its jobs.
async fn busy_session(model: &'static str) -> BusySession {
    let fixture = Fixture::with(&[("FOREBAY_MODEL", model)]).await;
    let first = fixture.submit_message("s", "turn=0").await;
    fixture.completed_text(&first).await;
    let gate = fixture.llm.gate_all_requests();
    let running = fixture.submit_message("s", "turn=1").await;
    fixture.wait_for_call("turn=1").await;
    let queued = fixture.submit_message("s", "turn=2").await;
    BusySession {
        fixture,
        model,
        gate,
        running,
        queued,
    }
}

impl BusySession {
    /// Submits another message to the session.
    async fn submit_with(&self, if_busy: &str) -> Answer {
        let job = json!({
            "session_id": "s", "input": "turn=3", "if_busy": if_busy, "model": self.model,
        });
        self.fixture.client.submit(&job).await
    }

    /// Asserts that both jobs are cancelled, the running call is closed and the queued job had no call.
    async fn assert_both_cancelled(&self) {
        for id in [&self.running, &self.queued] {
            let job = self.fixture.client.job(id).await.expect(200);
            assert_eq!(job["status"], "cancelled", "{job}");
            assert_eq!(job["error"]["code"], "cancelled", "{job}");
        }
        let client_disconnected = |records: &[Recorded]| records[1].client_disconnected();
        let llm = &self.fixture.llm;
        llm.wait_for("the end of the running call", client_disconnected)
            .await;
        assert!(
            llm.recorded_with("turn=2").is_empty(),
            "the queued job had a call: {}",
            llm.listing()
        );
    }
}

async fn enqueue_runs_all_jobs(model: &'static str) {
    let busy = busy_session(model).await;
    let new = busy.submit_with("enqueue").await.expect(202);
    busy.gate.open();
    let fixture = &busy.fixture;
    assert_eq!(fixture.completed_text(&busy.running).await, "seen:0,1");
    assert_eq!(fixture.completed_text(&busy.queued).await, "seen:0,1,2");
    let new = new["id"].as_str().expect("the job has an id");
    assert_eq!(fixture.completed_text(new).await, "seen:0,1,2,3");
    assert_eq!(fixture.session_turns("s").await.len(), 8);
    assert_eq!(fixture.llm.stats().requests, 4);
    fixture.assert_no_refusals();
}

async fn reject_refuses_the_new_job(model: &'static str) {
    let busy = busy_session(model).await;
    let refused = busy.submit_with("reject").await;
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(refused.expect(409)["code"], "session_busy");
    busy.gate.open();
    let fixture = &busy.fixture;
    assert_eq!(fixture.completed_text(&busy.running).await, "seen:0,1");
    assert_eq!(fixture.completed_text(&busy.queued).await, "seen:0,1,2");
    assert_eq!(fixture.session_turns("s").await.len(), 6);
    assert_eq!(fixture.llm.stats().requests, 3);
    // The session is idle now, so the same submit is accepted.
    let new = busy.submit_with("reject").await.expect(202);
    let new = new["id"].as_str().expect("the job has an id");
    assert_eq!(fixture.completed_text(new).await, "seen:0,1,2,3");
    fixture.assert_no_refusals();
}

async fn rollback_removes_the_inputs_of_cancelled_jobs(model: &'static str) {
    let busy = busy_session(model).await;
    let new = busy.submit_with("rollback").await.expect(202);
    busy.assert_both_cancelled().await;
    busy.gate.open();
    let fixture = &busy.fixture;
    let new = new["id"].as_str().expect("the job has an id");
    assert_eq!(fixture.completed_text(new).await, "seen:0,3");
    let expected_turns = [
        "user: turn=0",
        "assistant: seen:0",
        "user: turn=3",
        "assistant: seen:0,3",
    ];
    assert_eq!(fixture.session_turns("s").await, expected_turns);
    assert_eq!(fixture.llm.stats().requests, 3);
    fixture.assert_no_refusals();
}

async fn interrupt_keeps_the_inputs_of_cancelled_jobs(model: &'static str) {
    let busy = busy_session(model).await;
    let new = busy.submit_with("interrupt").await.expect(202);
    busy.assert_both_cancelled().await;
    busy.gate.open();
    let fixture = &busy.fixture;
    let new = new["id"].as_str().expect("the job has an id");
    assert_eq!(fixture.completed_text(new).await, "seen:0,1,2,3");
    let expected_turns = [
        "user: turn=0",
        "assistant: seen:0",
        "user: turn=1",
        "user: turn=2",
        "user: turn=3",
        "assistant: seen:0,1,2,3",
    ];
    assert_eq!(fixture.session_turns("s").await, expected_turns);
    assert_eq!(fixture.llm.stats().requests, 3);
    fixture.assert_no_refusals();
}

#[tokio::test]
async fn if_busy_has_no_effect_in_an_idle_session() {
    let fixture = Fixture::start().await;
    for (turn, if_busy) in ["enqueue", "reject", "rollback", "interrupt"]
        .iter()
        .enumerate()
    {
        let text = format!("turn={turn}");
        let job = json!({ "session_id": "s", "input": text, "if_busy": if_busy, "model": GPT });
        let id = fixture.submit(&job).await;
        let seen: Vec<String> = (0..=turn).map(|number| number.to_string()).collect();
        assert_eq!(
            fixture.completed_text(&id).await,
            format!("seen:{}", seen.join(","))
        );
    }
    let session: Value = fixture.client.session("s").await.expect(200);
    assert_eq!(session["turn_count"], 8);
}

#[tokio::test]
async fn rollback_and_interrupt_end_the_wait_for_tool_results() {
    for if_busy in ["rollback", "interrupt"] {
        let fixture = Fixture::start().await;
        let call = scripted_provider::ScriptedReply::tool_call("look", json!({}));
        fixture.llm.queue_replies("turn=0", [call]);
        let first = fixture.submit_message("s", "turn=0").await;
        assert_eq!(fixture.wait(&first).await["finish_reason"], "tool_calls");
        // This message waits up to a minute for the tool results.
        let waiting = fixture.submit_message("s", "turn=1").await;
        let job = json!({ "session_id": "s", "input": "turn=2", "if_busy": if_busy });
        let new = fixture.submit(&job).await;
        let seen = fixture.completed_text(&new).await;
        let expected = if if_busy == "rollback" {
            "seen:0,2"
        } else {
            "seen:0,1,2"
        };
        assert_eq!(seen, expected, "{if_busy}");
        let waiting = fixture.client.job(&waiting).await.expect(200);
        assert_eq!(waiting["status"], "cancelled", "{waiting}");
        fixture.assert_no_refusals();
    }
}
