//! RabbitMQ loses single messages. The jobs of these messages are delayed, but other sessions are not.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use e2e::{
    fleet::{Fleet, INTERACTIVE, TIMEOUT, poll_until},
    slowdown,
};
use tokio::task::JoinSet;

use crate::{
    calls,
    load::FaultLoad,
    messages,
    pace::Pace,
    permits, provider, seed,
    traffic::{INTERACTIVE_ONLY, Traffic},
};

/// The number of lost messages. They belong to different sessions.
const LOST: usize = 3;
/// How long a job may take after its message is lost, on an idle machine. Its timer is due after a minute.
const DONE_WITHIN: Duration = Duration::from_secs(90);
/// For this long after a loss, the job's timer is not due. The timer is due a minute after the job's admission, which was some seconds
/// before the loss.
const NOT_DUE_FOR: Duration = Duration::from_secs(45);
/// How long a test waits for a job without a message.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// The number of concurrent calls of one worker. It is so low that messages wait in the queue and can be removed there.
const SLOTS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_message_delays_only_its_own_session() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm);
    let fleet = fleet.env("FOREBAY_CONCURRENCY", SLOTS.to_string());
    let fleet = fleet.start().await;
    let load = FaultLoad::start(&fleet, "s", LOST, seed).await;
    let mut lost = BTreeSet::new();
    let mut losses = JoinSet::new();
    let mut first_loss = None;

    for loss in 1..=LOST {
        load.wait_until_fault_is_due(loss).await;
        let gate = provider::stop_calls(&llm, SLOTS * fleet.workers.len()).await;
        messages::wait_for_more_than(&fleet, INTERACTIVE, 0, TIMEOUT).await;
        for id in messages::remove(&fleet, INTERACTIVE, 1).await {
            let (began, client, job) = (Instant::now(), fleet.client.clone(), id.clone());
            first_loss.get_or_insert(began);
            losses.spawn(async move {
                client.wait(&job, WAIT_MAX).await;
                (began, began.elapsed())
            });
            lost.insert(id);
        }
        load.assert_fault_during_load(&llm, "a message was lost");
        gate.open();
        provider::wait_for_replies(&llm, 40, TIMEOUT).await;
    }
    assert_eq!(lost.len(), LOST, "{lost:?}");

    // All other sessions finish first.
    load.wait_for_all_accepted().await;
    let waiting: u64 = lost
        .iter()
        .map(|id| FaultLoad::TURNS - load.turn_of(id))
        .sum();
    let first_loss = first_loss.expect("a message was lost");
    // On a busy machine, the other jobs may end so late that a timer is due before.
    let may_be_due = || first_loss.elapsed() >= NOT_DUE_FOR;
    let only_lost_wait = async || may_be_due() || fleet.live_jobs().await == Some(waiting);
    assert!(
        poll_until(TIMEOUT, only_lost_wait).await,
        "{waiting} jobs should be live, but {:?} are",
        fleet.live_jobs().await
    );
    for id in &lost {
        let path = format!("/v1/jobs/{id}");
        let job = fleet.client.get_until_ok(&path, TIMEOUT).await;
        assert!(job["status"] == "queued" || may_be_due(), "{job}");
    }
    println!(
        "{:?} after the first loss, {waiting} jobs have lost their message or wait behind such a job: {}",
        first_loss.elapsed(),
        if may_be_due() {
            "their timers may be due"
        } else {
            "all other jobs have ended"
        }
    );
    for (began, took) in losses.join_all().await {
        let what = "the end of a job whose message was lost";
        slowdown::assert_within(DONE_WITHIN, began, took, what);
    }
    load.assert_all_submits_accepted();
    load.finish_in_order(&fleet).await;
    calls::assert_one_call_per_turn(&llm);
}

/// Few jobs, because the test fetches their messages repeatedly.
const FEW: Pace = Pace {
    sessions: 8,
    turns: 3,
    burst: 3,
    pause: Duration::ZERO,
};
/// The pause between two fetches of the messages.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_lost_from_a_queue_with_other_messages_is_published_again() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let few = Traffic::start(&fleet, "s", INTERACTIVE_ONLY, FEW, seed);
    few.wait_for_accepted(FEW.total_turns(), TIMEOUT).await;
    messages::wait_for_ready(&fleet, INTERACTIVE, FEW.sessions, TIMEOUT).await;
    let lost = messages::remove(&fleet, INTERACTIVE, LOST as u32).await;
    let began = Instant::now();

    // The queue is not empty, so Forebay cannot notice the loss. The jobs' timers must publish the messages again.
    let published_again = async || {
        tokio::time::sleep(POLL_INTERVAL).await;
        let ready = messages::ready(&fleet, INTERACTIVE).await;
        lost.is_subset(&messages::job_ids(&ready))
    };
    assert!(
        poll_until(WAIT_MAX, published_again).await,
        "not all messages of {lost:?} were published again"
    );
    let what = "the repeated publish of the lost messages";
    slowdown::assert_within(DONE_WITHIN, began, began.elapsed(), what);
    fleet
        .wait_for_live_jobs(FEW.total_turns() as u64, TIMEOUT)
        .await;
    fleet.add_worker().await;
    fleet.add_worker().await;
    few.finish_in_order(&fleet).await;
    // The timers published all messages again, so the jobs whose message was not lost had two messages.
    calls::assert_one_call_per_turn(&llm);
}
