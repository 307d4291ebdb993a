//! A worker stopped with SIGSTOP until it counts as gone, and continued: it comes back with replies that
//! nobody waits for any more. Its late commits are refused, and each turn appears once.

use std::time::Duration;

use e2e::{
    fleet::{Fleet, LIMIT},
    scripted::Recorded,
};

use crate::{
    machine, provider,
    returning::{attempted_by, works_again},
    traffic::{Pace, Traffic},
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
    let llm = provider::start().await;
    let fleet = Fleet::builder().workers(STOPS).openai(&llm);
    let fleet = fleet
        .env("FOREBAY_PRESENCE_MS", PRESENCE.as_millis().to_string())
        .env("FOREBAY_LOG", "info,forebay_worker=debug");
    let fleet = fleet.start().await;
    let traffic = Traffic::start(&fleet, Pace::USUAL);

    for victim in &fleet.workers {
        let gate = provider::hold(&llm, 30).await;
        let again = provider::asked_again(&llm.recorded());
        victim.sigstop();
        provider::assert_unfinished(&llm, "a worker was stopped");
        // Its replies come, and wait for it.
        gate.open();
        let what = "calls of others for the jobs that it has";
        let taken_over =
            |records: &[Recorded]| provider::asked_again(records) >= again + TAKEN_OVER;
        llm.wait_for_within(LIMIT, what, taken_over).await;
        victim.sigcont();
        victim.wait_for_log(TOO_LATE, LIMIT).await;
        works_again(&fleet, victim.name()).await;
    }

    let refused = traffic.refusals();
    assert!(refused.is_empty(), "refused: {refused:?}");
    let runs = traffic.end_in_order(&fleet).await;
    for victim in &fleet.workers {
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
