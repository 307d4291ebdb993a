//! Double texting: a message that comes while its session has a running and a queued job.
//!
//! | `if_busy` | the running job | the queued one | the session holds afterwards | the provider saw for the new one |
//! | --- | --- | --- | --- | --- |
//! | `enqueue` | completed | completed | all three | all three |
//! | `reject` | completed | completed | the first two | nothing: the submit is refused with 409 |
//! | `rollback` | cancelled, call closed | cancelled, unseen | the new one | the new one |
//! | `interrupt` | cancelled, call closed | cancelled, unseen | both inputs, and the new one | both inputs, and the new one |

use e2e::client::Answer;
use scripted_provider::{Gate, Recorded};
use serde_json::{Value, json};

use crate::pair::{GPT, Pair};

over_both_providers!(
    enqueue_lets_all_of_them_run,
    reject_refuses_the_new_one,
    rollback_takes_back_what_was_not_done,
    interrupt_keeps_what_was_said,
);

/// A session with one turn done, a job running and one queued.
struct Busy {
    pair: Pair,
    model: &'static str,
    gate: Gate,
    running: String,
    queued: String,
}

async fn busy(model: &'static str) -> Busy {
    let pair = Pair::with(&[("FOREBAY_MODEL", model)]).await;
    let first = pair.submit_message("s", "turn=0").await;
    pair.text(&first).await;
    let gate = pair.llm.hold();
    let running = pair.submit_message("s", "turn=1").await;
    pair.running("turn=1").await;
    let queued = pair.submit_message("s", "turn=2").await;
    Busy {
        pair,
        model,
        gate,
        running,
        queued,
    }
}

impl Busy {
    async fn text_again(&self, if_busy: &str) -> Answer {
        let job = json!({
            "session_id": "s", "input": "turn=3", "if_busy": if_busy, "model": self.model,
        });
        self.pair.client.submit(&job).await
    }

    /// Both jobs have ended as cancelled, the call was closed, the queued job never seen.
    async fn both_are_cancelled(&self) {
        for id in [&self.running, &self.queued] {
            let job = self.pair.client.job(id).await.expect(200);
            assert_eq!(job["status"], "cancelled", "{job}");
            assert_eq!(job["error"]["code"], "cancelled", "{job}");
        }
        let hung_up = |records: &[Recorded]| records[1].hung_up();
        let llm = &self.pair.llm;
        llm.wait_for("the end of the running call", hung_up).await;
        assert!(llm.recorded_with("turn=2").is_empty(), "{}", llm.listing());
    }
}

async fn enqueue_lets_all_of_them_run(model: &'static str) {
    let busy = busy(model).await;
    let new = busy.text_again("enqueue").await.expect(202);
    busy.gate.open();
    let pair = &busy.pair;
    assert_eq!(pair.text(&busy.running).await, "seen:0,1");
    assert_eq!(pair.text(&busy.queued).await, "seen:0,1,2");
    let new = new["id"].as_str().expect("an id");
    assert_eq!(pair.text(new).await, "seen:0,1,2,3");
    assert_eq!(pair.held("s").await.len(), 8);
    assert_eq!(pair.llm.stats().requests, 4);
    pair.assert_no_refusals();
}

async fn reject_refuses_the_new_one(model: &'static str) {
    let busy = busy(model).await;
    let refused = busy.text_again("reject").await;
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(refused.expect(409)["code"], "session_busy");
    busy.gate.open();
    let pair = &busy.pair;
    assert_eq!(pair.text(&busy.running).await, "seen:0,1");
    assert_eq!(pair.text(&busy.queued).await, "seen:0,1,2");
    assert_eq!(pair.held("s").await.len(), 6);
    assert_eq!(pair.llm.stats().requests, 3);
    // It is not busy any more.
    let new = busy.text_again("reject").await.expect(202);
    let new = new["id"].as_str().expect("an id");
    assert_eq!(pair.text(new).await, "seen:0,1,2,3");
    pair.assert_no_refusals();
}

async fn rollback_takes_back_what_was_not_done(model: &'static str) {
    let busy = busy(model).await;
    let new = busy.text_again("rollback").await.expect(202);
    busy.both_are_cancelled().await;
    busy.gate.open();
    let pair = &busy.pair;
    let new = new["id"].as_str().expect("an id");
    assert_eq!(pair.text(new).await, "seen:0,3");
    let held = [
        "user: turn=0",
        "assistant: seen:0",
        "user: turn=3",
        "assistant: seen:0,3",
    ];
    assert_eq!(pair.held("s").await, held);
    assert_eq!(pair.llm.stats().requests, 3);
    pair.assert_no_refusals();
}

async fn interrupt_keeps_what_was_said(model: &'static str) {
    let busy = busy(model).await;
    let new = busy.text_again("interrupt").await.expect(202);
    busy.both_are_cancelled().await;
    busy.gate.open();
    let pair = &busy.pair;
    let new = new["id"].as_str().expect("an id");
    assert_eq!(pair.text(new).await, "seen:0,1,2,3");
    let held = [
        "user: turn=0",
        "assistant: seen:0",
        "user: turn=1",
        "user: turn=2",
        "user: turn=3",
        "assistant: seen:0,1,2,3",
    ];
    assert_eq!(pair.held("s").await, held);
    assert_eq!(pair.llm.stats().requests, 3);
    pair.assert_no_refusals();
}

#[tokio::test]
async fn in_an_idle_session_each_is_just_a_message() {
    let pair = Pair::start().await;
    for (n, if_busy) in ["enqueue", "reject", "rollback", "interrupt"]
        .iter()
        .enumerate()
    {
        let text = format!("turn={n}");
        let job = json!({ "session_id": "s", "input": text, "if_busy": if_busy, "model": GPT });
        let id = pair.submit(&job).await;
        let seen: Vec<String> = (0..=n).map(|n| n.to_string()).collect();
        assert_eq!(pair.text(&id).await, format!("seen:{}", seen.join(",")));
    }
    let session: Value = pair.client.session("s").await.expect(200);
    assert_eq!(session["turn_count"], 8);
}

#[tokio::test]
async fn rollback_and_interrupt_end_the_wait_for_tool_results() {
    for if_busy in ["rollback", "interrupt"] {
        let pair = Pair::start().await;
        let call = scripted_provider::ScriptedReply::tool_call("look", json!({}));
        pair.llm.on("turn=0", [call]);
        let first = pair.submit_message("s", "turn=0").await;
        assert_eq!(pair.wait(&first).await["finish_reason"], "tool_calls");
        // Held back for the results, for a minute.
        let waiting = pair.submit_message("s", "turn=1").await;
        let job = json!({ "session_id": "s", "input": "turn=2", "if_busy": if_busy });
        let new = pair.submit(&job).await;
        let seen = pair.text(&new).await;
        let expected = if if_busy == "rollback" {
            "seen:0,2"
        } else {
            "seen:0,1,2"
        };
        assert_eq!(seen, expected, "{if_busy}");
        let waiting = pair.client.job(&waiting).await.expect(200);
        assert_eq!(waiting["status"], "cancelled", "{waiting}");
        pair.assert_no_refusals();
    }
}
