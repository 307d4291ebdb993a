//! Workers and gateways killed with -9: others go on, what they had in hand is done again or asked for
//! again, and nothing is doubled.

use e2e::{
    fleet::{Fleet, LIMIT},
    scripted::Recorded,
};

use crate::{
    machine, provider,
    returning::{accepts_again, attempted_by, works_again},
    traffic::{Pace, Traffic},
};

const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_workers_jobs_are_done_by_others_once() {
    let _place = machine::place().await;
    let llm = provider::start().await;
    let mut fleet = Fleet::builder().workers(4).openai(&llm).start().await;
    let traffic = Traffic::start(&fleet, Pace::USUAL);
    let mut killed = Vec::new();

    for victim in 0..KILLS {
        let gate = provider::hold(&llm, 30).await;
        let cut_off = hung_up(&llm.recorded());
        fleet.workers[victim].kill9().await;
        provider::assert_unfinished(&llm, "a worker was killed");
        let its_own = |records: &[Recorded]| hung_up(records) > cut_off;
        llm.wait_for("the end of the worker's own calls", its_own)
            .await;
        gate.open();
        killed.push(fleet.workers[victim].name().to_owned());
        provider::answers_more(&llm, Pace::USUAL.sessions, LIMIT).await;
        fleet.restart_worker(victim).await;
        works_again(&fleet, fleet.workers[victim].name()).await;
    }

    let refused = traffic.refusals();
    assert!(refused.is_empty(), "refused: {refused:?}");
    assert_eq!(traffic.unanswered(), 0);
    let runs = traffic.end_in_order(&fleet).await;
    let again = provider::asked_again(&llm.recorded());
    println!("{again} turns were asked for again");
    // One job of each session at most was in its hands.
    assert!(again <= KILLS * Pace::USUAL.sessions, "{again}");
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
    let llm = provider::start().await;
    let mut fleet = Fleet::builder().workers(3).openai(&llm).start().await;
    let traffic = Traffic::start(&fleet, Pace::USUAL);

    for kill in 0..KILLS {
        let victim = kill % fleet.gateways.len();
        let gate = provider::hold(&llm, 20).await;
        let unanswered = traffic.unanswered();
        fleet.gateways[victim].kill9().await;
        provider::assert_unfinished(&llm, "a gateway was killed");
        gate.open();
        // Until clients hear of it, half of what they try gets no answer.
        traffic.goes_on(Pace::USUAL.sessions).await;
        assert!(traffic.unanswered() > unanswered, "nobody has noticed");
        provider::answers_more(&llm, Pace::USUAL.sessions, LIMIT).await;
        fleet.restart_gateway(victim).await;
        accepts_again(&fleet.client_of(victim), LIMIT).await;
    }

    let refused = traffic.refusals();
    assert!(refused.is_empty(), "refused: {refused:?}");
    traffic.end_in_order(&fleet).await;
    provider::assert_asked_once(&llm);
}

fn hung_up(records: &[Recorded]) -> usize {
    records.iter().filter(|record| record.hung_up()).count()
}

fn lost_its_worker(job: &serde_json::Value) -> bool {
    let attempts = job["attempts"].as_array().expect("attempts");
    attempts
        .iter()
        .any(|attempt| attempt["error"]["code"] == "worker_lost")
}
