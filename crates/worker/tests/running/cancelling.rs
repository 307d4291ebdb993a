//! Jobs that are cancelled while their call runs.

use forebay_shared::{ids::SessionId, job::Status};

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
    call.dropped().await;
    assert_eq!(fleet.outcome(job).await.status, Status::Cancelled);
    fleet.next_call().await.reply("B");
    assert_eq!(fleet.outcome(next).await.status, Status::Completed);
}

#[tokio::test]
async fn the_next_job_of_a_session_does_not_see_the_turns_of_a_cancelled_job() {
    let fleet = Fleet::start(settings(2));
    let session = SessionId::parse("s").expect("the session id is valid");
    let job = fleet.submit(Submit::text("a").session("s")).await;
    let mut call = fleet.next_call().await;
    fleet.submit(Submit::text("b").session("s")).await;
    fleet.cancel(job, Some(&session)).await;
    call.dropped().await;
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
    second_call.dropped().await;
    first_call.reply("A");
    assert_eq!(fleet.outcome(first).await.status, Status::Completed);
}
