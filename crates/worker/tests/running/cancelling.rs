//! Jobs that are given up while their call runs.

use forebay_shared::{ids::SessionId, job::Status};

use crate::harness::{Fleet, Submit, settings};

#[tokio::test]
async fn a_cancel_drops_the_call_and_frees_its_slot() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    let mut asked = fleet.asked().await;
    let next = fleet.submit(Submit::text("b")).await;
    assert!(fleet.asked_already().await.is_none(), "there is one slot");
    fleet.cancel(job, None).await;
    asked.dropped().await;
    assert_eq!(fleet.ended(job).await.status, Status::Cancelled);
    fleet.asked().await.say("B");
    assert_eq!(fleet.ended(next).await.status, Status::Completed);
}

#[tokio::test]
async fn the_next_turn_of_the_session_does_not_see_a_cancelled_one() {
    let fleet = Fleet::start(settings(2));
    let session = SessionId::parse("s").expect("a session id");
    let job = fleet.submit(Submit::text("a").session("s")).await;
    let mut asked = fleet.asked().await;
    fleet.submit(Submit::text("b").session("s")).await;
    fleet.cancel(job, Some(&session)).await;
    asked.dropped().await;
    assert_eq!(fleet.asked().await.texts(), ["b"]);
}

#[tokio::test]
async fn a_cancel_drops_no_other_call() {
    let fleet = Fleet::start(settings(2));
    let first = fleet.submit(Submit::text("a").session("s")).await;
    let one = fleet.asked().await;
    let other = fleet.submit(Submit::text("b")).await;
    let mut two = fleet.asked().await;
    fleet.cancel(other, None).await;
    two.dropped().await;
    one.say("A");
    assert_eq!(fleet.ended(first).await.status, Status::Completed);
}
