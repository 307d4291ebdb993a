//! RabbitMQ loses single messages. Their jobs are delayed, and no other job is.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use e2e::fleet::{Fleet, INTERACTIVE, LIMIT, until};
use tokio::task::JoinSet;

use crate::{
    calls,
    load::Load,
    machine, messages, provider, seed,
    traffic::{INTERACTIVE_ONLY, Pace, Traffic},
};

/// The number of lost messages, each of another session.
const LOST: usize = 3;
/// The timers of lost messages fire after a minute; the rest is for a busy machine.
const DONE_WITHIN: Duration = Duration::from_secs(240);
/// Concurrent calls of one worker: so few that messages wait in the queue, where they can be lost.
const SLOTS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_messages_only_delay_their_jobs() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm);
    let fleet = fleet.env("FOREBAY_CONCURRENCY", SLOTS.to_string());
    let fleet = fleet.start().await;
    let load = Load::start(&fleet, "s", seed).await;
    let mut lost = BTreeSet::new();
    let mut losses = JoinSet::new();

    for loss in 1..=LOST {
        load.wait_until_accepted(loss, LOST + 1).await;
        let gate = provider::hold(&llm, SLOTS * fleet.workers.len()).await;
        for id in messages::lose(&fleet, INTERACTIVE, 1).await {
            let (began, client, job) = (Instant::now(), fleet.client.clone(), id.clone());
            losses.spawn(async move {
                client.wait(&job, DONE_WITHIN).await;
                began.elapsed()
            });
            lost.insert(id);
        }
        load.assert_struck(&llm, "a message was lost");
        gate.open();
        provider::wait_for_replies(&llm, 40, LIMIT).await;
    }
    assert_eq!(lost.len(), LOST, "{lost:?}");

    // No other session waits for them.
    load.wait_until_all_accepted().await;
    let waiting = lost.iter().map(|id| Load::TURNS - load.turn_of(id)).sum();
    fleet.live_jobs_become(waiting, LIMIT).await;
    for id in &lost {
        let job = fleet.client.job(id).await.expect(200);
        assert_eq!(job["status"], "queued", "{job}");
    }
    println!("all jobs are done but {waiting}: the lost ones and the turns after them");
    for took in losses.join_all().await {
        println!("a job was done {took:?} after the loss of its message");
        assert!(took <= DONE_WITHIN, "{took:?}");
    }
    load.assert_no_failed_submit();
    load.end_in_order(&fleet).await;
    calls::assert_called_once(&llm);
}

/// Few jobs, because the test reads all their messages repeatedly.
const FEW: Pace = Pace {
    sessions: 8,
    turns: 3,
    burst: 3,
    pause: Duration::ZERO,
};
const POLL_INTERVAL: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_lost_from_a_queue_with_others_is_published_again() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let few = Traffic::start(&fleet, "s", INTERACTIVE_ONLY, FEW, seed);
    few.wait_for_accepted(FEW.all(), LIMIT).await;
    messages::wait_until_ready(&fleet, INTERACTIVE, FEW.sessions, LIMIT).await;
    let lost = messages::lose(&fleet, INTERACTIVE, LOST as u32).await;
    let began = Instant::now();

    // The fleet cannot notice the loss from the queue's length. Their timers must fire.
    let published_again = async || {
        tokio::time::sleep(POLL_INTERVAL).await;
        let ready = messages::ready(&fleet, INTERACTIVE).await;
        lost.is_subset(&messages::jobs_of(&ready))
    };
    assert!(
        until(DONE_WITHIN, published_again).await,
        "{lost:?} were not published again"
    );
    println!(
        "the lost messages were published again after {:?}",
        began.elapsed()
    );
    fleet.live_jobs_become(FEW.all() as u64, LIMIT).await;
    fleet.add_worker().await;
    fleet.add_worker().await;
    let took = began.elapsed();
    few.end_in_order(&fleet).await;
    assert!(took <= DONE_WITHIN, "{took:?}");
    // The other jobs have two messages each.
    calls::assert_called_once(&llm);
}
