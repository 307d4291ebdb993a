//! A store that goes away and comes back.

use std::{sync::atomic::Ordering, time::Duration};

use forebay_shared::{class::Class, job::Status};
use tokio::time::sleep;

use crate::harness::{Fleet, PRESENCE_MS, Submit, eventually, settings};

impl Fleet {
    async fn store_goes_away(&self) {
        self.fickle.away.store(true, Ordering::SeqCst);
        eventually("the member is out of touch", async || {
            !self.member.presence.is_current()
        })
        .await;
    }

    fn store_comes_back(&self) {
        self.fickle.away.store(false, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_reply_outlives_an_outage_and_is_paid_for_once() {
    let fleet = Fleet::start(settings(2));
    let job = fleet.submit(Submit::text("a").session("s")).await;
    let asked = fleet.asked().await;
    fleet.store_goes_away().await;
    let faults = fleet.faults();
    asked.say("A");
    // The outage is to last for two presence times.
    sleep(Duration::from_millis(2 * PRESENCE_MS)).await;
    assert!(fleet.faults() > faults, "the commit was tried");
    fleet.store_comes_back();
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.status, Status::Completed);
    assert_eq!(outcome.attempts.len(), 1);
    assert!(fleet.asked_already().await.is_none());
    assert_eq!(fleet.session("s").await.len(), 2);
}

#[tokio::test]
async fn a_worker_out_of_touch_gives_its_messages_back_and_comes_back() {
    let fleet = Fleet::start(settings(1));
    let first = fleet.submit(Submit::text("a")).await;
    let asked = fleet.asked().await;
    let second = fleet.submit(Submit::text("b")).await;
    eventually("the second wake is in hand", async || {
        fleet.queue().depth(Class::Interactive).await.ok() == Some(0)
    })
    .await;
    fleet.store_goes_away().await;
    eventually("the second wake is given back for good", async || {
        for _ in 0..30 {
            if fleet.queue().depth(Class::Interactive).await.ok() != Some(1) {
                return false;
            }
            sleep(Duration::from_millis(10)).await;
        }
        true
    })
    .await;
    fleet.store_comes_back();
    // The call that ran went on all the while.
    asked.say("A");
    assert_eq!(fleet.ended(first).await.attempts.len(), 1);
    fleet.asked().await.say("B");
    assert_eq!(fleet.ended(second).await.status, Status::Completed);
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_recognised() {
    let mut fleet = Fleet::idle(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet.fickle.lose_answer.store(true, Ordering::SeqCst);
    fleet.begin();
    fleet.asked().await.say("A");
    let outcome = fleet.ended(job).await;
    assert_eq!(
        (outcome.status, outcome.attempts.len()),
        (Status::Completed, 1)
    );
    assert!(fleet.faults() > 0, "an answer was lost");
}

/// Without the worker's own look its job would stand until the claim's limit, a minute and more here.
#[tokio::test]
async fn a_claim_that_nobody_could_answer_for_long_is_released() {
    let mut fleet = Fleet::idle(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet
        .fickle
        .away_after_lost_answer
        .store(true, Ordering::SeqCst);
    fleet.fickle.lose_answer.store(true, Ordering::SeqCst);
    fleet.begin();
    eventually("the store goes away", async || {
        fleet.fickle.away.load(Ordering::SeqCst)
    })
    .await;
    // Longer than the worker is patient with one claim.
    sleep(Duration::from_millis(5_500)).await;
    fleet.store_comes_back();
    fleet.asked().await.say("A");
    let outcome = fleet.ended(job).await;
    assert_eq!(outcome.status, Status::Completed);
    let error = outcome.attempts[0]
        .error
        .as_ref()
        .expect("the first attempt came to nothing");
    assert_eq!(
        (error.code.as_str(), outcome.attempts.len()),
        ("released", 2)
    );
}
