//! Outages of the store.

use std::time::Duration;

use faulty_store::{Fault, StoreCall, StoreMode};
use forebay_shared::{class::Class, job::Status};
use forebay_worker::provider::{self, Retry};
use tokio::time::sleep;

use crate::{
    deferring::refused,
    harness::{Fleet, PRESENCE_TTL_MS, Submit, settings, wait_for, wait_until},
};

impl Fleet {
    /// Takes the store down, and waits until the member's presence is out of date.
    async fn take_store_down(&self) {
        self.store.set_mode(StoreMode::Down);
        wait_until("the member's presence is out of date", async || {
            !self.member.presence.is_current()
        })
        .await;
    }

    pub(crate) fn bring_store_up(&self) {
        self.store.set_mode(StoreMode::Up);
    }
}

#[tokio::test]
async fn a_reply_survives_an_outage_without_another_call() {
    let fleet = Fleet::start(settings(2));
    let job = fleet.submit(Submit::text("a").session("s")).await;
    let call = fleet.next_call().await;
    fleet.take_store_down().await;
    let commits = fleet.store.call_count(StoreCall::Commit);
    call.reply("A");
    // The outage lasts for two presence TTLs, in which the worker tries to commit.
    let next_commit = fleet.store.wait_for_calls(StoreCall::Commit, commits + 1);
    let outage = sleep(Duration::from_millis(2 * PRESENCE_TTL_MS));
    wait_for("the worker tries to commit", async {
        tokio::join!(next_commit, outage)
    })
    .await;
    fleet.bring_store_up();
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Completed);
    assert_eq!(outcome.attempts.len(), 1);
    assert!(fleet.call_already_made().await.is_none());
    assert_eq!(fleet.session_turns("s").await.len(), 2);
}

#[tokio::test]
async fn in_an_outage_a_worker_requeues_its_messages_and_runs_them_later() {
    let fleet = Fleet::start(settings(1));
    fleet.prevent_sweeper_election();
    let first = fleet.submit(Submit::text("a")).await;
    let call = fleet.next_call().await;
    let second = fleet.submit(Submit::text("b")).await;
    // The timers of both are parked together, up to a second after their wakes are published.
    let parked = fleet.store.wait_for_calls(StoreCall::MoveTimers, 1);
    wait_for("the second wake is published", parked).await;
    wait_until("the second wake is buffered", async || {
        fleet.queue().depth(Class::Interactive).await.ok() == Some(0)
    })
    .await;
    fleet.take_store_down().await;
    wait_until(
        "the second wake is requeued and stays in the queue",
        async || {
            for _ in 0..30 {
                if fleet.queue().depth(Class::Interactive).await.ok() != Some(1) {
                    return false;
                }
                sleep(Duration::from_millis(10)).await;
            }
            true
        },
    )
    .await;
    fleet.bring_store_up();
    // The running call was not interrupted.
    call.reply("A");
    assert_eq!(fleet.outcome(first).await.attempts.len(), 1);
    fleet.next_call().await.reply("B");
    assert_eq!(fleet.outcome(second).await.status, Status::Completed);
}

#[tokio::test]
async fn a_job_runs_once_although_the_response_of_its_claim_is_lost() {
    let mut fleet = Fleet::without_worker(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    let lost = Fault::LoseResponse;
    fleet.store.plan(StoreCall::Commit, [lost]);
    fleet.start_worker();
    fleet.next_call().await.reply("A");
    let outcome = fleet.outcome(job).await;
    assert_eq!(
        (outcome.status, outcome.attempts.len()),
        (Status::Completed, 1)
    );
    assert!(fleet.store.failure_count() > 0, "no response was lost");
}

/// Without the release, the job would wait until the time limit of its claim has passed, which is more than a minute.
#[tokio::test]
async fn a_claim_whose_response_is_lost_in_an_outage_is_released() {
    let mut fleet = Fleet::without_worker(settings(1));
    fleet.prevent_sweeper_election();
    let job = fleet.submit(Submit::text("a")).await;
    let lost = Fault::LoseResponseAndGoDown;
    fleet.store.plan(StoreCall::Commit, [lost]);
    fleet.start_worker();
    wait_until("the store fails", async || {
        fleet.store.mode() == StoreMode::Down
    })
    .await;
    wait_until("the claim times out and its wake is requeued", async || {
        fleet.queue().depth(Class::Interactive).await.ok() == Some(1)
    })
    .await;
    fleet.bring_store_up();
    fleet.next_call().await.reply("A");
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Completed);
    let error = outcome.attempts[0]
        .error
        .as_ref()
        .expect("the first attempt was released");
    assert_eq!(
        (error.code.as_str(), outcome.attempts.len()),
        ("released", 2)
    );
}

#[tokio::test]
async fn a_refused_call_spends_no_try_although_its_account_cannot_be_closed() {
    let mut settings = settings(1);
    settings.tries_max = 1;
    for (fault, status) in [
        (provider::Fault::RateLimit, Status::Completed),
        (provider::Fault::Unavailable, Status::Completed),
        (provider::Fault::Server, Status::Failed),
    ] {
        let fleet = Fleet::start(settings);
        let job = fleet.submit(Submit::text("a")).await;
        let call = fleet.next_call().await;
        fleet.store.plan(StoreCall::SwapAccount, [Fault::Broken]);
        call.fail(refused(fault, Retry::Backoff));
        if status == Status::Completed {
            fleet.next_call().await.reply("A");
        }
        assert_eq!(fleet.outcome(job).await.status, status, "{fault:?}");
        assert!(fleet.store.failure_count() > 0, "no change failed");
    }
}
