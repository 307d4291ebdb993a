//! A worker that is told to stop.

use forebay_shared::{job::Status, lane::State};
use tokio_util::sync::CancellationToken;

use crate::harness::{Fleet, Submit, settings};

#[tokio::test]
async fn what_ends_in_the_grace_completes_and_the_rest_is_released() {
    let mut settings = settings(4);
    settings.drain_ms = 1_000;
    let mut fleet = Fleet::start(settings);
    let quick = fleet.submit(Submit::text("quick")).await;
    let one = fleet.asked().await;
    let slow = fleet.submit(Submit::text("slow").session("s")).await;
    let mut two = fleet.asked().await;

    fleet.stop.cancel();
    one.say("in time");
    assert_eq!(fleet.ended(quick).await.status, Status::Completed);
    fleet.drained().await;
    two.dropped().await;
    let entry = fleet.live(slow).await;
    assert_eq!(entry.state, State::Queued { not_before: None });
    assert_eq!((entry.tries, entry.takeovers), (0, 0));
    let error = entry.attempts[0].error.as_ref().expect("an error");
    assert_eq!(error.code, "released");

    // The next worker has it.
    fleet.stop = CancellationToken::new();
    fleet.begin();
    let again = fleet.asked().await;
    assert_eq!(again.texts(), ["slow"]);
    again.say("done");
    assert_eq!(fleet.ended(slow).await.status, Status::Completed);
}

#[tokio::test]
async fn a_worker_that_stops_claims_nothing_and_leaves_the_messages_to_others() {
    let mut fleet = Fleet::start(settings(1));
    let running = fleet.submit(Submit::text("a")).await;
    let asked = fleet.asked().await;
    let waiting = fleet.submit(Submit::text("b")).await;
    fleet.stop.cancel();
    asked.say("A");
    fleet.drained().await;
    assert_eq!(fleet.ended(running).await.status, Status::Completed);
    let entry = fleet.live(waiting).await;
    assert!(!entry.claimed);

    fleet.stop = CancellationToken::new();
    fleet.begin();
    assert_eq!(fleet.asked().await.input(), "b");
}

#[tokio::test]
async fn an_idle_worker_ends_at_once() {
    let mut fleet = Fleet::start(settings(1));
    fleet.submit(Submit::text("a")).await;
    fleet.asked().await.say("A");
    let began = std::time::Instant::now();
    fleet.drained().await;
    assert!(began.elapsed().as_millis() < 5_000, "{:?}", began.elapsed());
}
