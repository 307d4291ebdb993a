//! Workers and gateways are killed with SIGKILL: others continue, their unfinished jobs run again, and no job is done
//! twice.

use e2e::fleet::{Fleet, LIMIT};
use scripted_provider::Recorded;
use serde_json::Value;

use crate::{
    calls::{self, Calls},
    load::Load,
    machine, provider,
    returning::{attempted_by, wait_until_accepting, wait_until_working},
    seed, workers,
};

const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_workers_do_the_jobs_of_a_killed_one_once() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let mut fleet = workers::with_keys(fleet, 4).await;
    let load = Load::start(&fleet, "s", seed).await;
    let mut killed = Vec::new();

    for victim in 0..KILLS {
        load.wait_until_accepted(victim + 1, KILLS + 1).await;
        let gate = provider::hold_of(&llm, &workers::key(victim), 5).await;
        let cut_off = provider::hung_up(&llm.recorded());
        fleet.workers[victim].kill9().await;
        load.assert_struck(&llm, "a worker was killed");
        let its_own = |records: &[Recorded]| provider::hung_up(records) > cut_off;
        llm.wait_for("the end of the worker's own calls", its_own)
            .await;
        gate.open();
        killed.push(fleet.workers[victim].name().to_owned());
        provider::wait_for_replies(&llm, 40, LIMIT).await;
        fleet.restart_worker(victim).await;
    }
    for worker in &fleet.workers[..KILLS] {
        wait_until_working(&fleet, worker.name()).await;
    }

    load.assert_no_failed_submit();
    let runs = load.end_in_order(&fleet).await;
    let again = Calls::of(&llm).called_again();
    println!("{again} turns had a second call");
    // The worker had at most one running job of each session.
    assert!(again <= KILLS * Load::SESSIONS, "{again}");
    for name in &killed {
        let lost = runs.iter().flat_map(|run| &run.jobs);
        let lost = lost.filter(|job| attempted_by(job, name) && lost_its_worker(job));
        let lost = lost.count();
        println!("{name} lost {lost} jobs to others");
        assert!(lost > 0, "{name} had no running jobs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_a_killed_gateway_accepted_are_done_once() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().openai(&llm).start().await;
    let load = Load::start(&fleet, "s", seed).await;

    for kill in 0..KILLS {
        let victim = kill % fleet.gateways.len();
        load.wait_until_accepted(kill + 1, KILLS + 1).await;
        let gate = provider::hold(&llm, 20).await;
        let unanswered = load.unanswered();
        fleet.gateways[victim].kill9().await;
        load.assert_struck(&llm, "a gateway was killed");
        gate.open();
        // Clients still send half of their submits to the killed gateway.
        load.wait_for_more(40).await;
        assert!(load.unanswered() > unanswered, "every submit was answered");
        provider::wait_for_replies(&llm, 40, LIMIT).await;
        fleet.restart_gateway(victim).await;
        wait_until_accepting(&fleet.client_of(victim), LIMIT).await;
    }

    load.assert_none_refused();
    load.end_in_order(&fleet).await;
    calls::assert_called_once(&llm);
}

fn lost_its_worker(job: &Value) -> bool {
    let attempts = job["attempts"].as_array().expect("attempts");
    attempts
        .iter()
        .any(|attempt| attempt["error"]["code"] == "worker_lost")
}
