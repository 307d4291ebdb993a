//! Calls that fail, and the tries that follow.

use std::time::Duration;

use faulty_store::{Fault, StoreCall};
use forebay_shared::{job::Status, lane::State, store::Store as _};
use forebay_worker::provider::{Failure, Retry};
use tokio::sync::oneshot;

use crate::harness::{Fleet, Submit, settings, wait_until};

fn failure(retry: Retry) -> Failure {
    Failure::new("provider_error", "no", retry)
}

fn too_long() -> Failure {
    Failure::new("context_length_exceeded", "too long", Retry::LessContext)
}

#[tokio::test]
async fn a_second_try_can_succeed() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a").session("s")).await;
    fleet.next_call().await.fail(failure(Retry::Backoff));
    let second_call = fleet.next_call().await;
    assert_eq!(second_call.texts(), ["a"]);
    second_call.reply("A");
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Completed);
    let codes: Vec<_> = outcome
        .attempts
        .iter()
        .map(|attempt| attempt.error.as_ref().map(|error| error.code.as_str()))
        .collect();
    assert_eq!(codes, [Some("provider_error"), None]);
    assert_eq!(fleet.session_turns("s").await.len(), 2);
}

#[tokio::test]
async fn a_wake_that_comes_before_the_attempt_has_ended_starts_the_next_attempt() {
    let fleet = Fleet::start(settings(2));
    // Without a sweeper, no timer leads to another wake.
    fleet.prevent_sweeper_election();
    let job = fleet.submit(Submit::text("a")).await;
    let call = fleet.next_call().await;
    // The retry is committed, and the attempt waits for the response.
    let (respond, response) = oneshot::channel::<()>();
    let response = Fault::RespondAfter(Box::pin(async move { drop(response.await) }));
    fleet.store.plan(StoreCall::Commit, [response]);
    call.fail(failure(Retry::Backoff));
    let is_due = async || match fleet.entry(job).await.state {
        State::Queued { not_before } => not_before.is_none_or(|at| at < fleet.store.now()),
        State::Running { .. } | State::Deferred(_) => false,
    };
    wait_until("the next try is due", is_due).await;
    fleet.wake(job).await;
    // Wakes are delivered in order. So the worker has taken the wake before this one.
    let other = fleet.submit(Submit::text("b")).await;
    let call = fleet.next_call().await;
    assert_eq!(call.input(), "b");
    respond.send(()).expect("the attempt waits");
    let second_call = fleet.next_call().await;
    assert_eq!(second_call.input(), "a");
    second_call.reply("A");
    call.reply("B");
    for job in [job, other] {
        assert_eq!(fleet.outcome(job).await.status, Status::Completed);
    }
}

#[tokio::test]
async fn a_retry_waits_as_long_as_the_provider_asks() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet.next_call().await.fail(failure(Retry::AfterMs(700)));
    fleet.next_call().await.reply("A");
    let [first, second] = &fleet.outcome(job).await.attempts[..] else {
        panic!("there should be two attempts");
    };
    let delay_ms = second
        .started_at
        .since_ms(first.ended_at.expect("the attempt has ended"));
    assert!(
        delay_ms >= 700,
        "the second attempt began after {delay_ms} ms"
    );
}

#[tokio::test]
async fn a_job_fails_when_its_tries_are_used_up() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a").session("s")).await;
    let next = fleet.submit(Submit::text("b").session("s")).await;
    for _ in 0..3 {
        let call = fleet.next_call().await;
        assert_eq!(
            call.input(),
            "a",
            "the job should stay the head of its lane"
        );
        call.fail(failure(Retry::Backoff));
    }
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Failed);
    assert_eq!(
        outcome.error.expect("there is an error").code,
        "provider_error"
    );
    assert_eq!(outcome.provider.as_deref(), Some("scripted"));
    assert_eq!(outcome.attempts.len(), 3);
    fleet
        .wait_for_count(r#"forebay_job_attempts_total{result="failed"}"#, 1)
        .await;
    fleet
        .wait_for_count(r#"forebay_job_attempts_total{result="retried"}"#, 2)
        .await;
    fleet
        .wait_for_count(r#"forebay_retries_total{reason="provider_error"}"#, 2)
        .await;
    // The session has no turn of the failed job, and the next job runs.
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["b"]);
    call.reply("B");
    assert_eq!(fleet.outcome(next).await.status, Status::Completed);
}

#[tokio::test]
async fn a_reply_that_is_too_large_for_the_store_is_counted_as_failed() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    let call = fleet.next_call().await;
    fleet.store.plan(StoreCall::Commit, [Fault::TooLarge]);
    call.reply("A");
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.error.expect("an error").code, "result_too_large");
    fleet
        .wait_for_count(r#"forebay_job_attempts_total{result="failed"}"#, 1)
        .await;
    fleet
        .wait_for_count(r#"forebay_job_attempts_total{result="completed"}"#, 0)
        .await;
}

#[tokio::test]
async fn a_permanent_failure_is_not_retried() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet.next_call().await.fail(failure(Retry::Never));
    let outcome = fleet.outcome(job).await;
    assert_eq!(
        (outcome.status, outcome.attempts.len()),
        (Status::Failed, 1)
    );
}

#[tokio::test]
async fn a_panic_in_a_provider_costs_a_try_and_frees_the_slot() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet.next_call().await.panic();
    fleet.next_call().await.reply("A");
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Completed);
    let error = outcome.attempts[0]
        .error
        .as_ref()
        .expect("there is an error");
    assert_eq!(error.code, "internal_error");
}

#[tokio::test]
async fn a_context_that_is_too_long_is_halved_within_the_attempt() {
    let fleet = Fleet::start(settings(1));
    for text in ["a", "b", "c", "d"] {
        fleet.submit(Submit::text(text).session("s")).await;
        fleet.next_call().await.reply("ok");
    }
    let job = fleet.submit(Submit::text("e").session("s")).await;
    let first = fleet.next_call().await;
    assert_eq!(first.turns.len(), 9);
    first.fail(too_long());
    let half = fleet.next_call().await;
    assert!(half.turns.len() <= 5, "{:?}", half.texts());
    assert_eq!(half.input(), "e");
    let (sent, dropped) = (half.turns.len(), 9 - half.turns.len());
    half.reply("E");
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.attempts.len(), 1);
    let reply = outcome.reply.expect("the job has a reply");
    let counted = (reply.turns_sent as usize, reply.turns_dropped as usize);
    assert_eq!(counted, (sent, dropped));
    // The turns that were not sent stay in the session.
    assert_eq!(fleet.session_turns("s").await.len(), 10);

    let job = fleet.submit(Submit::text("f").session("s")).await;
    // One more than the first call may send: 10 turns of the session and the input.
    let mut sent = 12;
    while sent > 1 {
        let call = fleet.next_call().await;
        assert!(call.turns.len() < sent, "{:?}", call.texts());
        assert_eq!(call.input(), "f");
        sent = call.turns.len();
        call.fail(too_long());
    }
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Failed);
    assert_eq!(
        outcome.error.expect("there is an error").code,
        "context_length_exceeded"
    );
    assert_eq!(outcome.attempts.len(), 1);
}

#[tokio::test]
async fn a_context_that_cannot_be_shortened_fails_at_once() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet.next_call().await.fail(too_long());
    let outcome = fleet.outcome(job).await;
    assert_eq!(
        outcome.error.expect("there is an error").code,
        "context_length_exceeded"
    );
    assert!(fleet.call_already_made().await.is_none());
}

#[tokio::test]
async fn the_deadline_of_a_job_ends_its_call() {
    let fleet = Fleet::start(settings(1));
    let mut expires_in_ms = 1_000;
    // On a busy machine, a job can expire before its call. Then the next job gets more time.
    let (job, mut call) = loop {
        let mut submit = Submit::text("a");
        submit.expires_in_ms = expires_in_ms;
        let job = fleet.submit(submit).await;
        tokio::select! {
            biased;
            call = fleet.next_call() => break (job, call),
            _ = fleet.outcome(job) => expires_in_ms *= 4,
        }
    };
    assert!(
        call.timeout <= Duration::from_millis(expires_in_ms),
        "the call may take {:?}",
        call.timeout
    );
    call.wait_until_dropped().await;
    assert_eq!(fleet.outcome(job).await.status, Status::Expired);
    // The slot is free.
    fleet.submit(Submit::text("b")).await;
    assert_eq!(fleet.next_call().await.input(), "b");
}

#[tokio::test]
async fn a_call_that_exceeds_its_timeout_is_dropped_and_costs_a_try() {
    let mut settings = settings(1);
    (settings.call_timeout_ms, settings.tries_max) = (200, 1);
    let fleet = Fleet::start(settings);
    let job = fleet.submit(Submit::text("a")).await;
    let mut call = fleet.next_call().await;
    call.wait_until_dropped().await;
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Failed);
    assert_eq!(
        outcome.error.expect("there is an error").code,
        "provider_timeout"
    );
}
