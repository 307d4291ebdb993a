//! Jobs that complete.

use forebay_shared::{
    job::{FinishReason, Status},
    turn::Role,
};

use crate::harness::{Fleet, Submit, settings, wait_until};

#[tokio::test]
async fn a_job_completes_with_the_providers_reply() {
    let fleet = Fleet::start(settings(4));
    let job = fleet.submit(Submit::text("hello")).await;
    let call = fleet.next_call().await;
    assert_eq!((call.model.as_str(), call.input().as_str()), ("m", "hello"));
    call.reply("hi");
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Completed);
    assert_eq!(outcome.provider.as_deref(), Some("scripted"));
    assert_eq!(outcome.error, None);
    let reply = outcome.reply.expect("the job has a reply");
    assert_eq!(reply.text.as_deref(), Some("hi"));
    assert_eq!(reply.finish_reason, FinishReason::Stop);
    assert_eq!(reply.usage.map(|usage| usage.total_tokens), Some(9));
    assert_eq!((reply.turns_sent, reply.turns_dropped), (1, 0));
    let [attempt] = &outcome.attempts[..] else {
        panic!("there should be one attempt: {:?}", outcome.attempts);
    };
    assert_eq!(attempt.worker, fleet.member.id);
    assert_eq!(attempt.error, None);
}

#[tokio::test]
async fn the_jobs_of_a_session_run_in_order_and_see_earlier_turns() {
    let fleet = Fleet::start(settings(4));
    let first = fleet.submit(Submit::text("a").session("s")).await;
    let second = fleet.submit(Submit::text("b").session("s")).await;
    let other = fleet.submit(Submit::text("x").session("t")).await;
    // The job of session `t` does not wait. The second job of session `s` waits for the first.
    let (first_call, other_call) = (fleet.next_call().await, fleet.next_call().await);
    let (first_call, other_call) = if first_call.input() == "a" {
        (first_call, other_call)
    } else {
        (other_call, first_call)
    };
    assert_eq!(
        (first_call.texts(), other_call.texts()),
        (vec!["a".to_owned()], vec!["x".to_owned()])
    );
    other_call.reply("X");
    fleet.outcome(other).await;
    assert!(fleet.call_already_made().await.is_none());
    first_call.reply("A");
    let next = fleet.next_call().await;
    assert_eq!(next.texts(), ["a", "A", "b"]);
    next.reply("B");
    assert_eq!(fleet.outcome(first).await.status, Status::Completed);
    let outcome = fleet.outcome(second).await;
    assert_eq!(outcome.reply.expect("the job has a reply").turns_sent, 3);
    let turns = fleet.session_turns("s").await;
    let expected = [
        (Role::User, "a"),
        (Role::Assistant, "A"),
        (Role::User, "b"),
        (Role::Assistant, "B"),
    ];
    assert_eq!(turns, expected.map(|(role, text)| (role, text.to_owned())));
}

#[tokio::test]
async fn at_most_as_many_turns_are_sent_as_the_request_allows() {
    let fleet = Fleet::start(settings(1));
    for text in ["a", "b", "c"] {
        fleet.submit(Submit::text(text).session("s")).await;
        fleet.next_call().await.reply("ok");
    }
    let mut submit = Submit::text("d").session("s");
    submit.request.context.max_turns = Some(3);
    let job = fleet.submit(submit).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["c", "ok", "d"]);
    call.reply("ok");
    let reply = fleet.outcome(job).await.reply.expect("the job has a reply");
    assert_eq!((reply.turns_sent, reply.turns_dropped), (3, 4));
}

#[tokio::test]
async fn a_model_without_a_key_fails_after_one_attempt() {
    let fleet = Fleet::start(settings(1));
    let mut submit = Submit::text("hello");
    submit.model = "keyless/m".to_owned();
    let job = fleet.submit(submit).await;
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Failed);
    assert_eq!(
        outcome.error.expect("there is an error").code,
        "provider_not_configured"
    );
    assert_eq!(outcome.attempts.len(), 1);
    assert_eq!(outcome.provider, None);
}

#[tokio::test]
async fn further_wakes_for_a_running_job_are_dropped_and_need_no_slot() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("once")).await;
    let call = fleet.next_call().await;
    for _ in 0..5 {
        fleet.wake(job).await;
    }
    // The only slot is in use, so the queue becomes empty only if the wakes are dropped.
    wait_until("the further wakes are dropped", async || {
        fleet
            .queue()
            .depth(forebay_shared::class::Class::Interactive)
            .await
            .ok()
            == Some(0)
    })
    .await;
    call.reply("done");
    assert_eq!(fleet.outcome(job).await.attempts.len(), 1);
    // The rules refuse a claim of a job that has ended, so this wake does not keep the slot.
    fleet.wake(job).await;
    fleet.submit(Submit::text("next")).await;
    assert_eq!(fleet.next_call().await.input(), "next");
}
