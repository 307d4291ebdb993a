//! A worker is stopped with SIGSTOP until the fleet counts the worker as gone, and then continued. Now it commits
//! replies to jobs that other workers have taken over. The store rejects these commits, and each turn appears once.

use std::time::Duration;

use e2e::fleet::Fleet;
use futures_util::future::join_all;
use scripted_provider::ScriptedLlm;

use crate::{
    calls,
    load::Load,
    permits, provider,
    recovery::{attempted_by, wait_for_work_by},
    seed, workers,
};

/// The number of workers that are stopped, one after the other.
const STOPS: usize = 3;
/// The presence time: a worker that is stopped for longer counts as gone.
const PRESENCE: Duration = Duration::from_secs(1);
/// A worker's log message about a rejected commit.
const TOO_LATE: &str = "an attempt came too late";
/// How many jobs of a stopped worker must be taken over before the worker continues.
const TAKEN_OVER: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_commits_of_a_continued_worker_are_rejected_and_each_turn_appears_once() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().workers(0).openai(&llm);
    let fleet = fleet
        .env("FOREBAY_PRESENCE_MS", PRESENCE.as_millis().to_string())
        .env("FOREBAY_LOG", "info,forebay_worker=debug");
    let fleet = workers::add_with_keys(fleet.start().await, STOPS + 1).await;
    let load = Load::start(&fleet, "s", seed).await;

    // A stop waits for a part of the load only, and not for the recovery of the worker before.
    let stops = (0..STOPS).map(|victim| stop(&fleet, &llm, &load, victim));
    join_all(stops).await;
    for victim in &fleet.workers[..STOPS] {
        wait_for_work_by(&fleet, victim.name()).await;
    }

    load.assert_none_refused();
    let runs = load.finish_in_order(&fleet).await;
    let mut late_commits = 0;
    for victim in &fleet.workers[..STOPS] {
        let logs = victim.logs();
        let late = logs.lines().filter(|line| line.contains(TOO_LATE)).count();
        late_commits += late;
        let jobs = runs.iter().flat_map(|run| &run.jobs);
        let taken_over = jobs.filter(|job| {
            attempted_by(job, victim.name()) && job["attempts"][0]["error"]["code"] == "worker_lost"
        });
        let taken_over = taken_over.count();
        println!(
            "{}: {taken_over} jobs were taken over, {late} commits were rejected",
            victim.name()
        );
        assert!(
            taken_over >= TAKEN_OVER,
            "only {taken_over} jobs of {} were taken over",
            victim.name()
        );
    }
    // A continued worker may learn of a takeover before it commits. Then it drops the reply without a commit.
    assert!(late_commits > 0, "no commit was rejected");
}

/// Stops a worker when its part of the load is accepted. Continues the worker when others have taken over its jobs.
async fn stop(fleet: &Fleet, llm: &ScriptedLlm, load: &Load, victim: usize) {
    load.wait_for_fraction(victim + 1, STOPS + 1).await;
    let (worker, key) = (&fleet.workers[victim], workers::key(victim));
    let gate = provider::stop_calls_with_key(llm, &key, TAKEN_OVER).await;
    worker.sigstop();
    load.assert_fault_during_load(llm, "a worker was stopped");
    // The replies arrive while the worker is stopped.
    gate.open();
    calls::wait_for_takeovers(llm, &key, TAKEN_OVER).await;
    worker.sigcont();
}
