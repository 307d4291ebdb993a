//! Jobs that are cancelled while their call runs.

use std::{iter, time::Duration};

use faulty_store::{Fault, StoreCall};
use forebay_shared::{ids::SessionId, job::Status, store::JobState};
use tokio::time::Instant;

use crate::harness::{Fleet, Submit, settings};

#[tokio::test]
async fn a_cancel_drops_the_call_and_frees_its_slot() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    let mut call = fleet.next_call().await;
    let next = fleet.submit(Submit::text("b")).await;
    assert!(
        fleet.call_already_made().await.is_none(),
        "a second call was made with only one slot"
    );
    fleet.cancel(job, None).await;
    call.wait_until_dropped().await;
    assert_eq!(fleet.outcome(job).await.status, Status::Cancelled);
    fleet.next_call().await.reply("B");
    assert_eq!(fleet.outcome(next).await.status, Status::Completed);
}

#[tokio::test]
async fn a_cancel_drops_the_call_soon_although_no_notices_can_be_received() {
    let mut fleet = Fleet::without_worker(settings(1));
    let no_notices = iter::repeat_with(|| Fault::LoseResponse).take(10_000);
    fleet.store.plan(StoreCall::Watch, no_notices);
    fleet.start_worker();
    let job = fleet.submit(Submit::text("a")).await;
    let mut call = fleet.next_call().await;
    fleet.cancel(job, None).await;
    let (cancelled, subscriptions) = (Instant::now(), fleet.store.call_count(StoreCall::Watch));
    call.wait_until_dropped().await;
    let took = cancelled.elapsed();
    assert!(
        took < Duration::from_secs(20),
        "the call was dropped after {took:?}"
    );
    let subscriptions = fleet.store.call_count(StoreCall::Watch) - subscriptions;
    assert!(subscriptions < 60, "{subscriptions} attempts to subscribe");
    let JobState::Ended(outcome) = fleet.state(job).await else {
        panic!("the job should have ended, because it was cancelled");
    };
    assert_eq!(outcome.status, Status::Cancelled);
}

#[tokio::test]
async fn the_next_job_of_a_session_does_not_see_the_turns_of_a_cancelled_job() {
    let fleet = Fleet::start(settings(2));
    let session = SessionId::parse("s").expect("the session id is valid");
    let job = fleet.submit(Submit::text("a").session("s")).await;
    let mut call = fleet.next_call().await;
    fleet.submit(Submit::text("b").session("s")).await;
    fleet.cancel(job, Some(&session)).await;
    call.wait_until_dropped().await;
    assert_eq!(fleet.next_call().await.texts(), ["b"]);
}

#[tokio::test]
async fn a_cancel_drops_no_other_call() {
    let fleet = Fleet::start(settings(2));
    let first = fleet.submit(Submit::text("a").session("s")).await;
    let first_call = fleet.next_call().await;
    let other = fleet.submit(Submit::text("b")).await;
    let mut second_call = fleet.next_call().await;
    fleet.cancel(other, None).await;
    second_call.wait_until_dropped().await;
    first_call.reply("A");
    assert_eq!(fleet.outcome(first).await.status, Status::Completed);
}
