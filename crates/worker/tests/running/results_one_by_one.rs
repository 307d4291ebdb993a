//! Parallel tool calls whose results arrive in several jobs, and results that no call waits for.

use std::time::Duration;

use faulty_store::StoreMode;
use forebay_shared::{
    ids::{JobId, SessionId},
    job::{FinishReason, Status},
    lane::{IfBusy, State},
    turn::{Role, ToolCall, Turn},
};
use forebay_worker::{
    WorkerSettings,
    provider::{Failure, Retry},
};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::harness::{Fleet, Submit, settings, wait_until};

/// A reply that calls a tool for each letter. The letter is the id of the call.
fn reply_with_calls(ids: &str) -> Turn {
    let call = |id: char| -> ToolCall {
        let function = json!({"name": "f", "arguments": "{}"});
        let call = json!({"id": id, "type": "function", "function": function});
        serde_json::from_value(call).expect("the tool call is valid")
    };
    Turn {
        tool_calls: ids.chars().map(call).collect(),
        ..Turn::empty(Role::Assistant)
    }
}

/// A job of session `s` with a result for each letter.
fn results(ids: &str, tool_wait_s: u32) -> Submit {
    let result = |id: char| Turn {
        tool_call_id: Some(id.to_string()),
        ..Turn::text(Role::Tool, format!("result {id}"))
    };
    let mut submit = Submit::turns(ids.chars().map(result).collect()).session("s");
    submit.request.tool_wait_s = tool_wait_s;
    submit
}

/// A fleet with this many slots. Its session `s` waits for the results of these calls.
async fn fleet_with_calls(slots: usize, ids: &str) -> Fleet {
    let fleet = Fleet::start(settings(slots));
    call_tools(&fleet, ids).await;
    fleet
}

/// Runs a job of session `s` whose reply makes these calls.
async fn call_tools(fleet: &Fleet, ids: &str) {
    let job = fleet.submit(Submit::text("a").session("s")).await;
    let call = fleet.next_call().await;
    call.answer(reply_with_calls(ids), FinishReason::ToolCalls);
    assert_eq!(fleet.outcome(job).await.status, Status::Completed);
}

/// Waits until a worker has claimed the job.
async fn wait_until_claimed(fleet: &Fleet, job: JobId) {
    wait_until("the job is claimed", async || {
        fleet.entry(job).await.claimed
    })
    .await;
}

/// Asserts that the job ended without a provider call and without a reply text, because another job contains more results.
async fn assert_stored_without_call(fleet: &Fleet, job: JobId) {
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Completed);
    assert_eq!(outcome.provider, None);
    let reply = outcome.reply.expect("the job has a reply");
    assert_eq!(reply.finish_reason, FinishReason::PartialResults);
    assert_eq!((reply.text, reply.turns_sent), (None, 0));
}

/// Asserts that the job failed because no call waits for its result with this id.
async fn assert_unexpected(fleet: &Fleet, job: JobId, id: &str) {
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Failed);
    let error = outcome.error.expect("there is an error");
    assert_eq!(error.code, "unexpected_tool_result");
    assert!(
        error.message.ends_with(&format!("tool_call_id is {id}")),
        "{error:?}"
    );
    assert_eq!((outcome.attempts.len(), outcome.provider), (1, None));
    assert!(
        fleet.call_already_made().await.is_none(),
        "a provider was called"
    );
}

#[tokio::test]
async fn the_last_of_three_results_gets_the_reply() {
    let fleet = fleet_with_calls(4, "xyz").await;
    let message = fleet.submit(Submit::text("b").session("s")).await;
    let first = fleet.submit(results("z", 60)).await;
    wait_until_claimed(&fleet, first).await;
    let second = fleet.submit(results("x", 60)).await;
    assert_stored_without_call(&fleet, first).await;
    wait_until_claimed(&fleet, second).await;
    let last = fleet.submit(results("y", 60)).await;
    assert_stored_without_call(&fleet, second).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "result x", "result y", "result z"]);
    call.reply("done");
    assert_eq!(fleet.outcome(last).await.status, Status::Completed);
    let call = fleet.next_call().await;
    assert_eq!(call.input(), "b");
    call.reply("B");
    assert_eq!(fleet.outcome(message).await.status, Status::Completed);
    let session = fleet.session_turns("s").await;
    assert!(
        session.iter().all(|(_, text)| text != "no result"),
        "{session:?}"
    );
}

#[tokio::test]
async fn a_waiting_job_uses_no_slot() {
    let fleet = fleet_with_calls(1, "xy").await;
    let first = fleet.submit(results("x", 60)).await;
    wait_until_claimed(&fleet, first).await;
    let other = fleet.submit(Submit::text("other").session("t")).await;
    fleet.next_call().await.reply("done");
    assert_eq!(fleet.outcome(other).await.status, Status::Completed);
    fleet.submit(results("y", 60)).await;
    assert_stored_without_call(&fleet, first).await;
    assert_eq!(fleet.next_call().await.input(), "result y");
}

#[tokio::test]
async fn a_job_that_waits_beyond_the_limit_keeps_its_slot() {
    let fleet = Fleet::start(WorkerSettings {
        results_waits_max: 0,
        ..settings(1)
    });
    call_tools(&fleet, "xy").await;
    let first = fleet.submit(results("x", 60)).await;
    wait_until_claimed(&fleet, first).await;
    let other = fleet.submit(Submit::text("other").session("t")).await;
    fleet.submit(results("y", 60)).await;
    assert_stored_without_call(&fleet, first).await;
    // The slot becomes free only now.
    let mut inputs = Vec::new();
    for _ in 0..2 {
        let call = fleet.next_call().await;
        inputs.push(call.input().to_owned());
        call.reply("done");
    }
    inputs.sort();
    assert_eq!(inputs, ["other", "result y"]);
    let other = fleet.outcome(other).await;
    let first = fleet.outcome(first).await;
    assert!(other.attempts[0].started_at >= first.ended_at);
}

#[tokio::test]
async fn stored_results_may_be_sent_again_with_new_results() {
    let fleet = fleet_with_calls(4, "xyz").await;
    let first = fleet.submit(results("x", 60)).await;
    wait_until_claimed(&fleet, first).await;
    let second = fleet.submit(results("xy", 60)).await;
    assert_stored_without_call(&fleet, first).await;
    wait_until_claimed(&fleet, second).await;
    let last = fleet.submit(results("xyz", 60)).await;
    assert_stored_without_call(&fleet, second).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "result x", "result y", "result z"]);
    call.reply("done");
    assert_eq!(fleet.outcome(last).await.status, Status::Completed);
    let session = fleet.session_turns("s").await;
    let texts: Vec<&str> = session.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["a", "", "result x", "result y", "result z", "done"]);
}

#[tokio::test]
async fn after_a_failed_job_all_results_may_be_sent_again() {
    let fleet = fleet_with_calls(4, "xy").await;
    let first = fleet.submit(results("x", 60)).await;
    wait_until_claimed(&fleet, first).await;
    let failed = fleet.submit(results("y", 60)).await;
    assert_stored_without_call(&fleet, first).await;
    fleet
        .next_call()
        .await
        .fail(Failure::new("bad_request", "refused", Retry::Never));
    assert_eq!(fleet.outcome(failed).await.status, Status::Failed);
    let all = fleet.submit(results("xy", 60)).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "result x", "result y"]);
    call.reply("done");
    assert_eq!(fleet.outcome(all).await.status, Status::Completed);
}

#[tokio::test]
async fn a_result_is_too_late_after_a_message_that_interrupts_a_waiting_message() {
    let fleet = fleet_with_calls(4, "xy").await;
    let waiting = fleet.submit(Submit::text("b").session("s")).await;
    let mut newer = Submit::text("c").session("s");
    newer.if_busy = IfBusy::Interrupt;
    fleet.submit(newer).await;
    assert_eq!(fleet.outcome(waiting).await.status, Status::Cancelled);
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "no result", "no result", "b", "c"]);
    call.reply("C");
    let late = fleet.submit(results("x", 60)).await;
    assert_unexpected(&fleet, late, "x").await;
}

#[tokio::test]
async fn a_job_stops_waiting_at_half_of_its_time_to_live() {
    let fleet = fleet_with_calls(4, "xy").await;
    let mut submit = results("x", 60);
    // The other half of this time is enough for the call on a busy machine.
    submit.expires_in_ms = 10_000;
    let first = fleet.submit(submit).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "result x", "no result"]);
    call.reply("done");
    assert_eq!(fleet.outcome(first).await.status, Status::Completed);
}

/// The worker keeps running, so the sweeper would requeue the job only after the time limit of its claim has passed.
#[tokio::test]
async fn a_wait_that_ends_during_an_outage_leads_to_a_call() {
    let fleet = fleet_with_calls(4, "xy").await;
    let first = fleet.submit(results("x", 1)).await;
    wait_until_claimed(&fleet, first).await;
    fleet.store.set_mode(StoreMode::Down);
    // Longer than the wait plus the 2 s that a stopping worker has for its releases.
    sleep(Duration::from_secs(4)).await;
    fleet.bring_store_up();
    fleet.next_call().await.reply("done");
    assert_eq!(fleet.outcome(first).await.status, Status::Completed);
}

#[tokio::test]
async fn missing_results_are_filled_in_after_the_wait_and_are_then_too_late() {
    let fleet = fleet_with_calls(4, "xy").await;
    let first = fleet.submit(results("x", 1)).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "result x", "no result"]);
    call.reply("done");
    let outcome = fleet.outcome(first).await;
    assert_eq!(outcome.status, Status::Completed);
    let error = outcome.attempts[0].error.as_ref();
    assert_eq!(error.expect("the wait ended").code, "tool_wait_ended");
    let late = fleet.submit(results("y", 60)).await;
    assert_unexpected(&fleet, late, "y").await;
    // The session still accepts messages.
    fleet.submit(Submit::text("b").session("s")).await;
    assert_eq!(fleet.next_call().await.input(), "b");
}

#[tokio::test]
async fn a_job_with_a_result_that_no_call_waits_for_fails_without_a_provider_call() {
    let fleet = fleet_with_calls(4, "xy").await;
    let unknown = fleet.submit(results("xq", 60)).await;
    assert_unexpected(&fleet, unknown, "q").await;
    let twice = fleet.submit(results("xx", 60)).await;
    assert_unexpected(&fleet, twice, "x").await;
    let complete = fleet.submit(results("yx", 60)).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "result x", "result y"]);
    call.reply("done");
    assert_eq!(fleet.outcome(complete).await.status, Status::Completed);
    let again = fleet.submit(results("x", 60)).await;
    assert_unexpected(&fleet, again, "x").await;
}

#[tokio::test]
async fn a_job_that_contains_no_missing_result_does_not_end_the_wait() {
    let fleet = fleet_with_calls(4, "xyz").await;
    let first = fleet.submit(results("x", 60)).await;
    wait_until_claimed(&fleet, first).await;
    let repeated = fleet.submit(results("x", 60)).await;
    let last = fleet.submit(results("yz", 60)).await;
    assert_stored_without_call(&fleet, first).await;
    assert_unexpected(&fleet, repeated, "x").await;
    fleet.next_call().await.reply("done");
    assert_eq!(fleet.outcome(last).await.status, Status::Completed);
}

#[tokio::test]
async fn a_cancel_ends_the_wait() {
    let fleet = fleet_with_calls(4, "xy").await;
    let session = SessionId::parse("s").expect("the session id is valid");
    let first = fleet.submit(results("x", 60)).await;
    wait_until_claimed(&fleet, first).await;
    fleet.cancel(first, Some(&session)).await;
    assert_eq!(fleet.outcome(first).await.status, Status::Cancelled);
    let both = fleet.submit(results("xy", 60)).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "result x", "result y"]);
    call.reply("done");
    assert_eq!(fleet.outcome(both).await.status, Status::Completed);
}

#[tokio::test]
async fn a_stopping_worker_releases_a_waiting_job_and_the_next_worker_continues_the_wait() {
    let mut fleet = fleet_with_calls(4, "xy").await;
    let first = fleet.submit(results("x", 60)).await;
    wait_until_claimed(&fleet, first).await;
    fleet.stop_worker().await;
    let entry = fleet.entry(first).await;
    assert_eq!(entry.state, State::Queued { not_before: None });
    assert_eq!((entry.tries, entry.takeovers), (0, 0));

    fleet.stop = CancellationToken::new();
    fleet.start_worker();
    let last = fleet.submit(results("y", 60)).await;
    assert_stored_without_call(&fleet, first).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "result x", "result y"]);
    call.reply("done");
    assert_eq!(fleet.outcome(last).await.status, Status::Completed);
}
