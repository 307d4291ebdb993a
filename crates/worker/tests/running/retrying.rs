//! Calls that fail, and what follows.

use std::time::Duration;

use forebay_shared::job::Status;
use forebay_worker::provider::{Failure, Retry};

use crate::harness::{Fleet, Submit, settings};

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
    fleet.asked().await.fail(failure(Retry::Backoff));
    let again = fleet.asked().await;
    assert_eq!(again.texts(), ["a"]);
    again.say("A");
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.status, Status::Completed);
    let codes: Vec<_> = outcome
        .attempts
        .iter()
        .map(|attempt| attempt.error.as_ref().map(|error| error.code.as_str()))
        .collect();
    assert_eq!(codes, [Some("provider_error"), None]);
    assert_eq!(fleet.session("s").await.len(), 2);
}

#[tokio::test]
async fn what_a_provider_has_not_begun_is_asked_again_at_once_and_costs_no_try() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    for _ in 0..2 {
        fleet.asked().await.fail(failure(Retry::AtOnce));
    }
    fleet.asked().await.say("A");
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.status, Status::Completed);
    assert_eq!(outcome.attempts.len(), 1);
}

#[tokio::test]
async fn a_provider_that_never_begins_costs_tries_all_the_same() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    for _ in 0..3 {
        fleet.asked().await.fail(failure(Retry::AtOnce));
    }
    fleet.asked().await.say("A");
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.status, Status::Completed);
    assert_eq!(outcome.attempts.len(), 2);
}

#[tokio::test]
async fn a_try_does_not_come_before_the_provider_allows() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet.asked().await.fail(failure(Retry::AfterMs(700)));
    fleet.asked().await.say("A");
    let [first, second] = &fleet.ended(job).await.attempts[..] else {
        panic!("two attempts");
    };
    let pause_ms = second
        .started_at
        .since_ms(first.ended_at.expect("it ended"));
    assert!(pause_ms >= 700, "{pause_ms}");
}

#[tokio::test]
async fn the_tries_are_used_up() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a").session("s")).await;
    let next = fleet.submit(Submit::text("b").session("s")).await;
    for _ in 0..3 {
        let asked = fleet.asked().await;
        assert_eq!(asked.input(), "a", "the head stays the head");
        asked.fail(failure(Retry::Backoff));
    }
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.status, Status::Failed);
    assert_eq!(outcome.error.expect("an error").code, "provider_error");
    assert_eq!(outcome.provider.as_deref(), Some("scripted"));
    assert_eq!(outcome.attempts.len(), 3);
    // Nothing of it stays in the session, and the next job runs.
    let asked = fleet.asked().await;
    assert_eq!(asked.texts(), ["b"]);
    asked.say("B");
    assert_eq!(fleet.ended(next).await.status, Status::Completed);
}

#[tokio::test]
async fn what_no_try_can_mend_fails_at_once() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet.asked().await.fail(failure(Retry::Never));
    let outcome = fleet.ended(job).await;
    assert_eq!(
        (outcome.status, outcome.attempts.len()),
        (Status::Failed, 1)
    );
}

#[tokio::test]
async fn a_panic_in_a_provider_is_a_try_and_keeps_the_slot() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet.asked().await.panic();
    fleet.asked().await.say("A");
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.status, Status::Completed);
    let error = outcome.attempts[0].error.as_ref().expect("an error");
    assert_eq!(error.code, "internal_error");
}

#[tokio::test]
async fn a_context_that_is_too_long_is_halved_once_within_the_attempt() {
    let fleet = Fleet::start(settings(1));
    for text in ["a", "b", "c", "d"] {
        fleet.submit(Submit::text(text).session("s")).await;
        fleet.asked().await.say("ok");
    }
    let job = fleet.submit(Submit::text("e").session("s")).await;
    let whole = fleet.asked().await;
    assert_eq!(whole.turns.len(), 9);
    whole.fail(too_long());
    let half = fleet.asked().await;
    assert!(half.turns.len() <= 5, "{:?}", half.texts());
    assert_eq!(half.input(), "e");
    let (sent, dropped) = (half.turns.len(), 9 - half.turns.len());
    half.say("E");
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.attempts.len(), 1);
    let reply = outcome.reply.expect("a reply");
    let counted = (reply.turns_sent as usize, reply.turns_dropped as usize);
    assert_eq!(counted, (sent, dropped));
    // What was not sent still belongs to the session.
    assert_eq!(fleet.session("s").await.len(), 10);

    let job = fleet.submit(Submit::text("f").session("s")).await;
    fleet.asked().await.fail(too_long());
    fleet.asked().await.fail(too_long());
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.status, Status::Failed);
    assert_eq!(
        outcome.error.expect("an error").code,
        "context_length_exceeded"
    );
    assert_eq!(outcome.attempts.len(), 1);
}

#[tokio::test]
async fn a_context_of_which_nothing_can_go_fails_at_once() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet.asked().await.fail(too_long());
    let outcome = fleet.ended(job).await;
    assert_eq!(
        outcome.error.expect("an error").code,
        "context_length_exceeded"
    );
    assert!(fleet.asked_already().await.is_none());
}

#[tokio::test]
async fn a_deadline_bounds_the_call() {
    let fleet = Fleet::start(settings(1));
    let mut submit = Submit::text("a");
    submit.expires_in_ms = 1_500;
    let job = fleet.submit(submit).await;
    let mut asked = fleet.asked().await;
    assert!(
        asked.timeout <= Duration::from_millis(1_500),
        "{:?}",
        asked.timeout
    );
    asked.dropped().await;
    assert_eq!(fleet.ended(job).await.status, Status::Expired);
    // The slot is free.
    fleet.submit(Submit::text("b")).await;
    assert_eq!(fleet.asked().await.input(), "b");
}

#[tokio::test]
async fn a_call_that_overruns_its_limit_is_dropped_and_counts_as_a_try() {
    let mut settings = settings(1);
    (settings.call_timeout_ms, settings.tries_max) = (200, 1);
    let fleet = Fleet::start(settings);
    let job = fleet.submit(Submit::text("a")).await;
    let mut asked = fleet.asked().await;
    asked.dropped().await;
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.status, Status::Failed);
    assert_eq!(outcome.error.expect("an error").code, "provider_timeout");
}
