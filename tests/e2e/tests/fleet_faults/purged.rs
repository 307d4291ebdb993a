//! Both queues are purged, so all messages are lost. Jobs are delayed, but none is lost.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use e2e::fleet::{BATCH, Fleet, INTERACTIVE, LIMIT};
use tokio::task::JoinSet;

use crate::{
    calls,
    load::Load,
    machine, messages, provider, seed, strikes,
    traffic::{BOTH_CLASSES, Pace, Traffic},
};

/// A fleet recovers within a minute; the rest is for a busy machine.
const RECOVERED_WITHIN: Duration = Duration::from_secs(180);
const QUEUES: [&str; 2] = [INTERACTIVE, BATCH];
/// Concurrent calls of one worker: so few that messages of both classes wait in the queues.
const SLOTS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purged_queues_of_busy_workers_recover() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm);
    let fleet = fleet.env("FOREBAY_CONCURRENCY", SLOTS.to_string());
    let fleet = fleet.start().await;
    let running_max = SLOTS * fleet.workers.len();
    let mut loads = Vec::new();

    for purge in 1..=strikes::of_long_fault(1) {
        let load = Load::start_of_both_classes(&fleet, &format!("purge-{purge}"), seed).await;
        load.wait_until_accepted(1, 4).await;
        let gate = provider::hold(&llm, running_max).await;
        let mut lost = BTreeSet::new();
        for queue in QUEUES {
            let ready = messages::ready(&fleet, queue).await;
            fleet.vhost.purge(queue).await.expect("a purge");
            let left = messages::ready(&fleet, queue).await;
            println!(
                "{queue}: {} messages, {} after the purge",
                ready.len(),
                left.len()
            );
            // Messages that workers hold are not lost, and some of them can return to the queue.
            assert!(ready.len() > running_max, "too few to purge");
            assert!(left.len() <= running_max, "the purge has left {left:?}");
            let left = messages::jobs_of(&left);
            lost.extend(messages::jobs_of(&ready).difference(&left).cloned());
        }
        let purged = Instant::now();
        load.assert_struck(&llm, "both queues were purged");
        gate.open();
        load.wait_for_more(40).await;
        let mut lost_jobs = JoinSet::new();
        for id in lost {
            let client = fleet.client.clone();
            lost_jobs.spawn(async move { client.wait(&id, RECOVERED_WITHIN).await });
        }
        let lost = lost_jobs.join_all().await.len();
        let took = purged.elapsed();
        println!("purge {purge}: {lost} jobs without messages are done after {took:?}");
        assert!(took <= RECOVERED_WITHIN, "{took:?}");
        loads.push(load);
    }

    for load in loads {
        load.assert_no_failed_submit();
        load.end_in_order(&fleet).await;
    }
    calls::assert_called_once(&llm);
}

const WAITING: Pace = Pace {
    sessions: 60,
    turns: 3,
    burst: 3,
    pause: Duration::ZERO,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purged_queues_without_workers_fill_again() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let waiting = Traffic::start(&fleet, "s", BOTH_CLASSES, WAITING, seed);
    waiting.wait_for_accepted(WAITING.all(), LIMIT).await;
    for purge in 1..=strikes::of_long_fault(1) {
        all_is_ready(&fleet, LIMIT).await;
        fleet.live_jobs_become(WAITING.all() as u64, LIMIT).await;
        purge_all(&fleet).await;
        let purged = Instant::now();
        for queue in QUEUES {
            let left = messages::ready(&fleet, queue).await;
            assert!(left.is_empty(), "the purge has left {left:?}");
        }
        all_is_ready(&fleet, RECOVERED_WITHIN).await;
        let took = purged.elapsed();
        println!("purge {purge}: all messages are ready again after {took:?}");
        assert!(took <= RECOVERED_WITHIN, "{took:?}");
    }

    // The last purge is before workers that find empty queues.
    purge_all(&fleet).await;
    let purged = Instant::now();
    fleet.add_worker().await;
    fleet.add_worker().await;
    fleet.live_jobs_become(0, RECOVERED_WITHIN).await;
    println!(
        "all jobs are done {:?} after the last purge",
        purged.elapsed()
    );
    waiting.end_in_order(&fleet).await;
    calls::assert_called_once(&llm);
}

async fn purge_all(fleet: &Fleet) {
    for queue in QUEUES {
        fleet.vhost.purge(queue).await.expect("a purge");
    }
}

/// Waits until each session has a ready message.
async fn all_is_ready(fleet: &Fleet, limit: Duration) {
    for queue in QUEUES {
        messages::wait_until_ready(fleet, queue, WAITING.sessions / QUEUES.len(), limit).await;
    }
}
