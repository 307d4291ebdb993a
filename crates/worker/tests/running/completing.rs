//! Jobs that get their reply.

use forebay_shared::{
    job::{FinishReason, Status},
    turn::Role,
};

use crate::harness::{Fleet, Submit, eventually, settings};

#[tokio::test]
async fn a_job_completes_with_what_the_provider_said() {
    let fleet = Fleet::start(settings(4));
    let job = fleet.submit(Submit::text("hello")).await;
    let asked = fleet.asked().await;
    assert_eq!(
        (asked.model.as_str(), asked.input().as_str()),
        ("m", "hello")
    );
    asked.say("hi");
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.status, Status::Completed);
    assert_eq!(outcome.provider.as_deref(), Some("scripted"));
    assert_eq!(outcome.error, None);
    let reply = outcome.reply.expect("a reply");
    assert_eq!(reply.text.as_deref(), Some("hi"));
    assert_eq!(reply.finish_reason, FinishReason::Stop);
    assert_eq!(reply.usage.map(|usage| usage.total_tokens), Some(9));
    assert_eq!((reply.turns_sent, reply.turns_dropped), (1, 0));
    let [attempt] = &outcome.attempts[..] else {
        panic!("one attempt: {:?}", outcome.attempts);
    };
    assert_eq!(attempt.worker, fleet.member.id);
    assert_eq!(attempt.error, None);
}

#[tokio::test]
async fn the_turns_of_a_session_run_in_order_and_see_those_before() {
    let fleet = Fleet::start(settings(4));
    let first = fleet.submit(Submit::text("a").session("s")).await;
    let second = fleet.submit(Submit::text("b").session("s")).await;
    let other = fleet.submit(Submit::text("x").session("t")).await;
    // The other session does not wait, the second turn does.
    let (one, two) = (fleet.asked().await, fleet.asked().await);
    let (one, two) = if one.input() == "a" {
        (one, two)
    } else {
        (two, one)
    };
    assert_eq!(
        (one.texts(), two.texts()),
        (vec!["a".to_owned()], vec!["x".to_owned()])
    );
    two.say("X");
    fleet.ended(other).await;
    assert!(fleet.asked_already().await.is_none());
    one.say("A");
    let next = fleet.asked().await;
    assert_eq!(next.texts(), ["a", "A", "b"]);
    next.say("B");
    assert_eq!(fleet.ended(first).await.status, Status::Completed);
    let outcome = fleet.ended(second).await;
    assert_eq!(outcome.reply.expect("a reply").turns_sent, 3);
    let held = fleet.session("s").await;
    let expected = [
        (Role::User, "a"),
        (Role::Assistant, "A"),
        (Role::User, "b"),
        (Role::Assistant, "B"),
    ];
    assert_eq!(held, expected.map(|(role, text)| (role, text.to_owned())));
}

#[tokio::test]
async fn a_bound_on_the_context_is_kept() {
    let fleet = Fleet::start(settings(1));
    for text in ["a", "b", "c"] {
        fleet.submit(Submit::text(text).session("s")).await;
        fleet.asked().await.say("ok");
    }
    let mut bounded = Submit::text("d").session("s");
    bounded.request.context.max_turns = Some(3);
    let job = fleet.submit(bounded).await;
    let asked = fleet.asked().await;
    assert_eq!(asked.texts(), ["c", "ok", "d"]);
    asked.say("ok");
    let reply = fleet.ended(job).await.reply.expect("a reply");
    assert_eq!((reply.turns_sent, reply.turns_dropped), (3, 4));
}

#[tokio::test]
async fn a_model_without_a_key_fails_after_one_attempt() {
    let fleet = Fleet::start(settings(1));
    let mut submit = Submit::text("hello");
    submit.model = "keyless/m".to_owned();
    let outcome = fleet.submit(submit).await;
    let outcome = fleet.ended(outcome).await;
    assert_eq!(outcome.status, Status::Failed);
    assert_eq!(
        outcome.error.expect("an error").code,
        "provider_not_configured"
    );
    assert_eq!(outcome.attempts.len(), 1);
    assert_eq!(outcome.provider, None);
}

#[tokio::test]
async fn further_messages_for_a_job_at_work_are_dropped_and_need_no_slot() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("once")).await;
    let asked = fleet.asked().await;
    for _ in 0..5 {
        fleet.wake(job).await;
    }
    // The one slot is in use, so more than what is in hand goes only if it is dropped.
    eventually("the repeats are gone", async || {
        fleet
            .queue()
            .depth(forebay_shared::class::Class::Interactive)
            .await
            .ok()
            == Some(0)
    })
    .await;
    asked.say("done");
    assert_eq!(fleet.ended(job).await.attempts.len(), 1);
    // And after it has ended: refused by the rules, and the slot is free for others.
    fleet.wake(job).await;
    fleet.submit(Submit::text("next")).await;
    assert_eq!(fleet.asked().await.input(), "next");
}
