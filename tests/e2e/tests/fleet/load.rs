//! 200 sessions with 20 turns each over two gateways and four workers: all jobs complete in order, and several workers
//! run the jobs of a session.

use std::time::{Duration, Instant};

use e2e::fleet::{Fleet, Load};
use scripted_provider::ScriptedLlm;

use crate::machine;

const LOAD: Load = Load {
    sessions: 200,
    turns: 20,
    limit: Duration::from_secs(300),
};

/// The seed of the test: `FOREBAY_TEST_SEED`, or a new one. It is printed, so that the output of a failed test shows it.
fn seed() -> u64 {
    let given = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = given.map_or_else(rand::random, |text| text.parse().expect("a number"));
    println!("FOREBAY_TEST_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_turn_is_in_order_whichever_gateway_and_worker_serve_it() {
    let _machine = machine::alone().await;
    let llm = ScriptedLlm::builder().latency_ms(0..=50).seed(seed());
    let llm = llm.start().await;
    let fleet = Fleet::builder().openai(&llm).start().await;
    let began = Instant::now();
    let accepted = LOAD.submit(&fleet.client).join_all().await;
    let submitted = began.elapsed();
    let runs = LOAD.assert_in_order(&fleet, accepted).await;
    println!(
        "{} jobs accepted in {submitted:?}, done and read in {:?}",
        LOAD.jobs(),
        began.elapsed()
    );

    // No process was killed, so no call was made twice.
    assert_eq!(llm.stats().requests as u64, LOAD.jobs());
    assert_eq!(llm.refusals(), Vec::<String>::new());
    let by_several = runs.iter().filter(|run| run.workers().len() >= 2).count();
    println!(
        "{by_several} of {} sessions were served by two workers or more",
        runs.len()
    );
    assert!(by_several * 10 >= runs.len() * 9, "{by_several}");
    for worker in &fleet.workers {
        let served = runs
            .iter()
            .filter(|run| run.workers().contains(worker.name()));
        assert!(served.count() > 0, "{} served no session", worker.name());
    }
    fleet.live_jobs_become(0, LOAD.limit).await;
}
