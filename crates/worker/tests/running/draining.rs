//! Workers that stop.

use forebay_shared::{job::Status, lane::State};
use tokio_util::sync::CancellationToken;

use crate::harness::{Fleet, Submit, settings};

#[tokio::test]
async fn a_call_that_ends_in_the_drain_time_completes() {
    let mut fleet = Fleet::start(settings(4));
    let job = fleet.submit(Submit::text("a")).await;
    let call = fleet.next_call().await;
    fleet.stop.cancel();
    call.reply("in time");
    fleet.stop_worker().await;
    assert_eq!(fleet.outcome(job).await.status, Status::Completed);
}

#[tokio::test]
async fn a_job_whose_call_does_not_end_in_the_drain_time_is_released() {
    let mut settings = settings(4);
    settings.drain_ms = 200;
    let mut fleet = Fleet::start(settings);
    let slow = fleet.submit(Submit::text("slow").session("s")).await;
    let mut slow_call = fleet.next_call().await;
    fleet.stop_worker().await;
    slow_call.wait_until_dropped().await;
    let entry = fleet.entry(slow).await;
    assert_eq!(entry.state, State::Queued { not_before: None });
    assert_eq!((entry.tries, entry.takeovers), (0, 0));
    let error = entry.attempts[0].error.as_ref().expect("there is an error");
    assert_eq!(error.code, "released");

    // The next worker runs the released job.
    fleet.stop = CancellationToken::new();
    fleet.start_worker();
    let second_call = fleet.next_call().await;
    assert_eq!(second_call.texts(), ["slow"]);
    second_call.reply("done");
    assert_eq!(fleet.outcome(slow).await.status, Status::Completed);
}

#[tokio::test]
async fn a_stopping_worker_claims_no_job_and_requeues_its_messages() {
    let mut fleet = Fleet::start(settings(1));
    let running = fleet.submit(Submit::text("a")).await;
    let call = fleet.next_call().await;
    let waiting = fleet.submit(Submit::text("b")).await;
    fleet.stop.cancel();
    call.reply("A");
    fleet.stop_worker().await;
    assert_eq!(fleet.outcome(running).await.status, Status::Completed);
    let entry = fleet.entry(waiting).await;
    assert!(!entry.claimed);

    fleet.stop = CancellationToken::new();
    fleet.start_worker();
    assert_eq!(fleet.next_call().await.input(), "b");
}

#[tokio::test]
async fn an_idle_worker_stops_before_the_drain_time_has_passed() {
    let mut fleet = Fleet::start(settings(1));
    fleet.submit(Submit::text("a")).await;
    fleet.next_call().await.reply("A");
    // `stop_worker` waits for a shorter time than the drain time, and then fails.
    fleet.stop_worker().await;
}
