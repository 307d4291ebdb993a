//! A worker is stopped with SIGSTOP until its presence expires, and then continued. Other workers have taken over its
//! jobs, so its late commits are refused, and each turn appears once.

use std::time::Duration;

use e2e::fleet::{Fleet, LIMIT};
use futures_util::future::join_all;
use scripted_provider::ScriptedLlm;

use crate::{
    calls,
    load::Load,
    machine, provider,
    returning::{attempted_by, wait_until_working},
    seed, workers,
};

const STOPS: usize = 3;
const PRESENCE: Duration = Duration::from_secs(1);
/// The log message of a worker whose commit was refused.
const TOO_LATE: &str = "an attempt came too late";
/// The number of its jobs that other workers take over before it continues.
const TAKEN_OVER: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_late_commits_of_a_continued_worker_are_refused() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().workers(0).openai(&llm);
    let fleet = fleet
        .env("FOREBAY_PRESENCE_MS", PRESENCE.as_millis().to_string())
        .env("FOREBAY_LOG", "info,forebay_worker=debug");
    let fleet = workers::with_keys(fleet.start().await, STOPS + 1).await;
    let load = Load::start(&fleet, "s", seed).await;

    // A stop does not wait for the end of the one before.
    let stops = (0..STOPS).map(|victim| stop(&fleet, &llm, &load, victim));
    join_all(stops).await;
    for victim in &fleet.workers[..STOPS] {
        wait_until_working(&fleet, victim.name()).await;
    }

    load.assert_none_refused();
    let runs = load.end_in_order(&fleet).await;
    for victim in &fleet.workers[..STOPS] {
        let late = victim.logs();
        let late = late.lines().filter(|line| line.contains(TOO_LATE)).count();
        let jobs = runs.iter().flat_map(|run| &run.jobs);
        let taken = jobs.filter(|job| {
            attempted_by(job, victim.name()) && job["attempts"][0]["error"]["code"] == "worker_lost"
        });
        let taken = taken.count();
        println!(
            "{}: {taken} jobs taken over, {late} late commits",
            victim.name()
        );
        assert!(taken >= TAKEN_OVER, "{taken}");
    }
}

/// Stops a worker at its share of accepted turns, until other workers have taken over some of its jobs.
async fn stop(fleet: &Fleet, llm: &ScriptedLlm, load: &Load, victim: usize) {
    load.wait_until_accepted(victim + 1, STOPS + 1).await;
    let (worker, key) = (&fleet.workers[victim], workers::key(victim));
    let gate = provider::hold_of(llm, &key, TAKEN_OVER).await;
    worker.sigstop();
    load.assert_struck(llm, "a worker was stopped");
    // The replies arrive while the worker is stopped.
    gate.open();
    calls::wait_until_taken_over(llm, &key, TAKEN_OVER).await;
    worker.sigcont();
    worker.wait_for_log(TOO_LATE, LIMIT).await;
}
