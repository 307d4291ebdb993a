//! Both queues are purged, so RabbitMQ loses all their ready messages. Jobs are delayed, and no job is lost.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use e2e::{
    fleet::{BATCH, Fleet, INTERACTIVE, TIMEOUT},
    slowdown,
};
use tokio::task::JoinSet;

use crate::{
    calls,
    load::FaultLoad,
    messages,
    pace::Pace,
    permits, provider, repeats, seed,
    traffic::{BOTH_CLASSES, Traffic},
};

/// How long all jobs may take after a purge, on an idle machine.
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);
/// How long a test waits for these jobs.
const WAIT_MAX: Duration = Duration::from_secs(300);
const QUEUES: [&str; 2] = [INTERACTIVE, BATCH];
/// The number of concurrent calls of one worker. It is so low that messages of both classes wait in the queues.
const SLOTS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_busy_workers_all_jobs_end_after_both_queues_are_purged() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm);
    let fleet = fleet.env("FOREBAY_CONCURRENCY", SLOTS.to_string());
    let fleet = fleet.start().await;
    let unacked_max = SLOTS * fleet.workers.len();
    let mut loads = Vec::new();

    for purge in 1..=repeats::of_long_fault(1) {
        let load =
            FaultLoad::start_of_both_classes(&fleet, &format!("purge-{purge}"), 1, seed).await;
        load.wait_until_fault_is_due(1).await;
        let gate = provider::stop_calls(&llm, unacked_max).await;
        let mut lost = BTreeSet::new();
        for queue in QUEUES {
            let ready = messages::wait_for_more_than(&fleet, queue, unacked_max, TIMEOUT).await;
            fleet
                .vhost
                .purge(queue)
                .await
                .expect("RabbitMQ purges the queue");
            let remaining = messages::ready(&fleet, queue).await;
            println!(
                "{queue} had {} messages before the purge and {} after it",
                ready.len(),
                remaining.len()
            );
            // A purge removes ready messages only. Right after it, a worker may return an unacknowledged message.
            assert!(
                remaining.len() <= unacked_max,
                "messages remain after the purge: {remaining:?}"
            );
            let remaining = messages::job_ids(&remaining);
            lost.extend(messages::job_ids(&ready).difference(&remaining).cloned());
        }
        let purged = Instant::now();
        load.assert_fault_during_load(&llm, "both queues were purged");
        gate.open();
        load.wait_for_more_accepted(40).await;
        let mut lost_jobs = JoinSet::new();
        for id in lost {
            let client = fleet.client.clone();
            lost_jobs.spawn(async move { client.wait(&id, WAIT_MAX).await });
        }
        let lost = lost_jobs.join_all().await.len();
        let took = purged.elapsed();
        let what = format!("purge {purge}: the end of {lost} jobs without a message");
        slowdown::assert_within(RECOVERED_WITHIN, purged, took, &what);
        loads.push(load);
    }

    for load in loads {
        load.assert_all_submits_accepted();
        load.finish_in_order(&fleet).await;
    }
    calls::assert_one_call_per_turn(&llm);
}

/// The jobs that wait for workers.
const WAITING: Pace = Pace {
    sessions: 60,
    turns: 3,
    burst: 3,
    pause: Duration::ZERO,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_workers_all_messages_are_published_again_after_both_queues_are_purged() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let waiting = Traffic::start(&fleet, "s", BOTH_CLASSES, WAITING, seed);
    waiting
        .wait_for_accepted(WAITING.total_turns(), TIMEOUT)
        .await;
    for purge in 1..=repeats::of_long_fault(1) {
        wait_for_all_ready(&fleet, TIMEOUT).await;
        fleet
            .wait_for_live_jobs(WAITING.total_turns() as u64, TIMEOUT)
            .await;
        purge_all(&fleet).await;
        let purged = Instant::now();
        for queue in QUEUES {
            let remaining = messages::ready(&fleet, queue).await;
            assert!(
                remaining.is_empty(),
                "messages remain after the purge: {remaining:?}"
            );
        }
        wait_for_all_ready(&fleet, WAIT_MAX).await;
        let what = format!("purge {purge}: the repeated publish of all messages");
        slowdown::assert_within(RECOVERED_WITHIN, purged, purged.elapsed(), &what);
    }

    // Both queues are purged again, and then workers start on the empty queues.
    purge_all(&fleet).await;
    let purged = Instant::now();
    fleet.add_worker().await;
    fleet.add_worker().await;
    fleet.wait_for_live_jobs(0, WAIT_MAX).await;
    let what = "the end of all jobs after the last purge";
    slowdown::assert_within(RECOVERED_WITHIN, purged, purged.elapsed(), what);
    waiting.finish_in_order(&fleet).await;
    calls::assert_one_call_per_turn(&llm);
}

async fn purge_all(fleet: &Fleet) {
    for queue in QUEUES {
        fleet
            .vhost
            .purge(queue)
            .await
            .expect("RabbitMQ purges the queue");
    }
}

/// Waits until each session has a ready message.
async fn wait_for_all_ready(fleet: &Fleet, timeout: Duration) {
    for queue in QUEUES {
        messages::wait_for_ready(fleet, queue, WAITING.sessions / QUEUES.len(), timeout).await;
    }
}
