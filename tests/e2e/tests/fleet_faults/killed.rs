//! Workers and gateways are killed with SIGKILL. Other workers repeat the calls of a killed worker. Clients
//! repeat the submits that a killed gateway did not answer. No job completes twice.

use e2e::fleet::{Fleet, TIMEOUT};
use scripted_provider::Recorded;
use serde_json::Value;

use crate::{
    calls,
    load::FaultLoad,
    permits, provider,
    recovery::{attempted_by, wait_for_accept, wait_for_work_by},
    seed, workers,
};

/// The number of kills in each test.
const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_workers_complete_the_jobs_of_a_killed_worker_once() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let mut fleet = workers::add_with_keys(fleet, 4).await;
    let load = FaultLoad::start(&fleet, "s", KILLS, seed).await;
    let mut killed = Vec::new();

    for victim in 0..KILLS {
        load.wait_until_fault_is_due(victim + 1).await;
        let gate = provider::stop_calls_and_wait_for_key(&llm, &workers::key(victim), 5).await;
        let cancelled_before = provider::cancelled_calls(&llm.recorded());
        fleet.workers[victim].kill9().await;
        load.assert_fault_during_load(&llm, "a worker was killed");
        let calls_ended =
            |records: &[Recorded]| provider::cancelled_calls(records) > cancelled_before;
        llm.wait_for("the end of the killed worker's calls", calls_ended)
            .await;
        gate.open();
        killed.push(fleet.workers[victim].name().to_owned());
        provider::wait_for_replies(&llm, 40, TIMEOUT).await;
        fleet.restart_worker(victim).await;
    }
    for worker in &fleet.workers[..KILLS] {
        wait_for_work_by(&fleet, worker.name()).await;
    }

    load.assert_all_submits_accepted();
    let runs = load.finish_in_order(&fleet).await;
    let repeated = calls::repeated_turns(&llm);
    println!("{repeated} turns had more than one call");
    // A killed worker ran at most one job of each session.
    assert!(
        repeated <= KILLS * FaultLoad::SESSIONS,
        "{repeated} turns had more than one call, more than the killed workers can have run"
    );
    for name in &killed {
        let lost = runs.iter().flat_map(|run| &run.jobs);
        let lost = lost.filter(|job| attempted_by(job, name) && lost_its_worker(job));
        let lost = lost.count();
        println!("other workers ran {lost} jobs of {name} again");
        assert!(lost > 0, "no job of {name} was run again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_a_killed_gateway_accepted_complete_once() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().openai(&llm).start().await;
    let load = FaultLoad::start(&fleet, "s", KILLS, seed).await;

    for kill in 0..KILLS {
        let victim = kill % fleet.gateways.len();
        load.wait_until_fault_is_due(kill + 1).await;
        let gate = provider::stop_calls(&llm, 20).await;
        let unanswered_before = load.unanswered();
        fleet.gateways[victim].kill9().await;
        load.assert_fault_during_load(&llm, "a gateway was killed");
        gate.open();
        // Clients still use the killed gateway, so about half of their submits get no answer.
        load.wait_for_more_accepted(40).await;
        assert!(
            load.unanswered() > unanswered_before,
            "the killed gateway answered every submit, so the test shows nothing"
        );
        provider::wait_for_replies(&llm, 40, TIMEOUT).await;
        fleet.restart_gateway(victim).await;
        wait_for_accept(&fleet.client_of(victim), TIMEOUT).await;
    }

    load.assert_none_refused();
    load.finish_in_order(&fleet).await;
    calls::assert_one_call_per_turn(&llm);
}

/// Whether an attempt of the job ended because its worker was gone.
fn lost_its_worker(job: &Value) -> bool {
    let attempts = job["attempts"].as_array().expect("the job has attempts");
    attempts
        .iter()
        .any(|attempt| attempt["error"]["code"] == "worker_lost")
}
