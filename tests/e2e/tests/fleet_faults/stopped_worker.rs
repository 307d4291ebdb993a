//! A worker is stopped with SIGSTOP until the fleet counts the worker as gone, and then continued. The
//! continued worker tries to commit replies to jobs that other workers have claimed meanwhile. The store rejects these commits, and
//! each turn appears once.

use std::time::Duration;

use e2e::fleet::{Fleet, TIMEOUT};
use futures_util::future::join_all;
use scripted_provider::ScriptedLlm;

use crate::{
    calls::CallsInFlight,
    load::FaultLoad,
    permits, provider,
    recovery::{attempted_by, wait_for_work_by},
    seed, workers,
};

/// The number of workers that are stopped, each at another point of the load.
const STOPS: usize = 3;
/// The presence TTL: a worker that is stopped for longer counts as gone.
const PRESENCE_TTL: Duration = Duration::from_secs(1);
/// A worker's log message about a rejected commit.
const REJECTED_COMMIT: &str = "the outcome of an attempt is dropped";
/// How many calls of a stopped worker other workers must repeat before the worker continues.
const REPEATED_CALLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_commits_of_a_continued_worker_are_rejected_and_each_turn_appears_once() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().workers(0).openai(&llm);
    let fleet = fleet
        .env("FOREBAY_PRESENCE_MS", PRESENCE_TTL.as_millis().to_string())
        .env("FOREBAY_LOG", "info,forebay_worker=debug");
    let fleet = workers::add_with_keys(fleet.start().await, STOPS + 1).await;
    let load = FaultLoad::start(&fleet, "s", STOPS, seed).await;

    // Each stop waits only for its part of the load. It does not wait until the previous worker has recovered.
    let stops = (0..STOPS).map(|victim| stop_until_taken_over(&fleet, &llm, &load, victim));
    join_all(stops).await;
    for victim in &fleet.workers[..STOPS] {
        wait_for_work_by(&fleet, victim.name()).await;
    }

    load.assert_none_refused();
    let runs = load.finish_in_order(&fleet).await;
    for victim in &fleet.workers[..STOPS] {
        let jobs = runs.iter().flat_map(|run| &run.jobs);
        let taken_over = jobs.filter(|job| {
            attempted_by(job, victim.name()) && job["attempts"][0]["error"]["code"] == "worker_lost"
        });
        let taken_over = taken_over.count();
        println!("{}: {taken_over} jobs were taken over", victim.name());
        assert!(
            taken_over >= REPEATED_CALLS,
            "only {taken_over} jobs of {} were taken over",
            victim.name()
        );
    }
}

/// Stops the worker with the index `victim` once so many turns are accepted that its fault is due. Continues it when other
/// workers have repeated [`REPEATED_CALLS`] of its calls. Returns when the store has rejected as many commits of the worker.
async fn stop_until_taken_over(fleet: &Fleet, llm: &ScriptedLlm, load: &FaultLoad, victim: usize) {
    load.wait_until_fault_is_due(victim + 1).await;
    let (worker, key) = (&fleet.workers[victim], workers::key(victim));
    let gate = provider::stop_calls_and_wait_for_key(llm, &key, REPEATED_CALLS).await;
    worker.sigstop().await;
    load.assert_fault_during_load(llm, "a worker was stopped");
    let calls = CallsInFlight::of(llm, &key);
    // The replies arrive while the worker is stopped, and no notice tells the worker to drop a call that was taken over. So once
    // continued, it tries to commit each reply.
    gate.open();
    calls.wait_for_takeovers(llm, REPEATED_CALLS).await;
    let late_commits = worker.wait_for_new_logs(REJECTED_COMMIT, REPEATED_CALLS, TIMEOUT);
    worker.sigcont();
    late_commits.await;
}
