//! A worker stopped with SIGSTOP until it counts as gone, and continued: it comes back with replies that
//! nobody waits for any more. Its late commits are refused, and each turn appears once.

use std::time::Duration;

use e2e::fleet::{Fleet, LIMIT};
use futures_util::future::join_all;
use scripted_provider::ScriptedLlm;

use crate::{
    calls,
    load::Load,
    machine, provider,
    returning::{attempted_by, works_again},
    seed, workers,
};

const STOPS: usize = 3;
const PRESENCE: Duration = Duration::from_secs(1);
/// What a worker says of a commit that was refused.
const TOO_LATE: &str = "an attempt came too late";
/// So many of its jobs are in others' hands before it goes on.
const TAKEN_OVER: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_comes_back_is_refused_and_each_turn_appears_once() {
    let _place = machine::place().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().workers(0).openai(&llm);
    let fleet = fleet
        .env("FOREBAY_PRESENCE_MS", PRESENCE.as_millis().to_string())
        .env("FOREBAY_LOG", "info,forebay_worker=debug");
    let fleet = workers::with_keys(fleet.start().await, STOPS + 1).await;
    let load = Load::start(&fleet, "s", seed).await;

    // The submits do not wait until one is back before the next is stopped.
    let stops = (0..STOPS).map(|victim| stop(&fleet, &llm, &load, victim));
    join_all(stops).await;
    for victim in &fleet.workers[..STOPS] {
        works_again(&fleet, victim.name()).await;
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

/// Stops a worker when its part of the load is accepted, until others have some of its jobs.
async fn stop(fleet: &Fleet, llm: &ScriptedLlm, load: &Load, victim: usize) {
    load.reaches(victim + 1, STOPS + 1).await;
    let (worker, key) = (&fleet.workers[victim], workers::key(victim));
    let gate = provider::hold_of(llm, &key, TAKEN_OVER).await;
    worker.sigstop();
    load.assert_struck(llm, "a worker was stopped");
    // Its replies come, and wait for it.
    gate.open();
    calls::are_taken_over(llm, &key, TAKEN_OVER).await;
    worker.sigcont();
    worker.wait_for_log(TOO_LATE, LIMIT).await;
}
