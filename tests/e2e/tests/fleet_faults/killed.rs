//! Workers and gateways killed with -9: others go on, what they had in hand is done again or asked for
//! again, and nothing is doubled.

use e2e::fleet::{Fleet, LIMIT};
use scripted_provider::Recorded;
use serde_json::Value;

use crate::{
    calls::{self, Calls},
    load::Load,
    machine, provider,
    returning::{accepts_again, attempted_by, works_again},
    seed, workers,
};

const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_workers_jobs_are_done_by_others_once() {
    let _place = machine::place().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let mut fleet = workers::with_keys(fleet, 4).await;
    let load = Load::start(&fleet, "s", seed).await;
    let mut killed = Vec::new();

    for victim in 0..KILLS {
        load.reaches(victim + 1, KILLS + 1).await;
        let gate = provider::hold_of(&llm, &workers::key(victim), 5).await;
        let cut_off = provider::hung_up(&llm.recorded());
        fleet.workers[victim].kill9().await;
        load.assert_struck(&llm, "a worker was killed");
        let its_own = |records: &[Recorded]| provider::hung_up(records) > cut_off;
        llm.wait_for("the end of the worker's own calls", its_own)
            .await;
        gate.open();
        killed.push(fleet.workers[victim].name().to_owned());
        provider::answers_more(&llm, 40, LIMIT).await;
        fleet.restart_worker(victim).await;
    }
    for worker in &fleet.workers[..KILLS] {
        works_again(&fleet, worker.name()).await;
    }

    load.assert_untroubled();
    let runs = load.end_in_order(&fleet).await;
    let again = Calls::of(&llm).asked_again();
    println!("{again} turns were asked for again");
    // One job of each session at most was in its hands.
    assert!(again <= KILLS * Load::SESSIONS, "{again}");
    for name in &killed {
        let lost = runs.iter().flat_map(|run| &run.jobs);
        let lost = lost.filter(|job| attempted_by(job, name) && lost_its_worker(job));
        let lost = lost.count();
        println!("{name} lost {lost} jobs to others");
        assert!(lost > 0, "{name} had nothing in hand");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_accepted_is_done_once() {
    let _place = machine::place().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().openai(&llm).start().await;
    let load = Load::start(&fleet, "s", seed).await;

    for kill in 0..KILLS {
        let victim = kill % fleet.gateways.len();
        load.reaches(kill + 1, KILLS + 1).await;
        let gate = provider::hold(&llm, 20).await;
        let unanswered = load.unanswered();
        fleet.gateways[victim].kill9().await;
        load.assert_struck(&llm, "a gateway was killed");
        gate.open();
        // Until clients hear of it, half of what they try gets no answer.
        load.goes_on(40).await;
        assert!(load.unanswered() > unanswered, "nobody has noticed");
        provider::answers_more(&llm, 40, LIMIT).await;
        fleet.restart_gateway(victim).await;
        accepts_again(&fleet.client_of(victim), LIMIT).await;
    }

    load.assert_none_refused();
    load.end_in_order(&fleet).await;
    calls::assert_asked_once(&llm);
}

fn lost_its_worker(job: &Value) -> bool {
    let attempts = job["attempts"].as_array().expect("attempts");
    attempts
        .iter()
        .any(|attempt| attempt["error"]["code"] == "worker_lost")
}
