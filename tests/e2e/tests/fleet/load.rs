//! 200 sessions submit 20 turns each to two gateways, and four workers run the jobs. All jobs complete in order, and
//! several workers run the jobs of a session.

use std::time::{Duration, Instant};

use e2e::fleet::{Fleet, Load};
use scripted_provider::ScriptedLlm;

use crate::test_lock;

const LOAD: Load = Load {
    sessions: 200,
    turns: 20,
    timeout: Duration::from_secs(300),
};

/// The seed of the test: `FOREBAY_TEST_SEED`, or a new seed. The function prints it, so a failed test shows its seed.
fn seed() -> u64 {
    let variable = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = variable.map_or_else(rand::random, |text| {
        text.parse().expect("FOREBAY_TEST_SEED is a number")
    });
    println!("FOREBAY_TEST_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_turn_is_in_order_on_any_gateway_and_any_worker() {
    let _guard = test_lock::exclusive().await;
    let llm = ScriptedLlm::builder().latency_ms(0..=50).seed(seed());
    let llm = llm.start().await;
    let fleet = Fleet::builder().openai(&llm).start().await;
    let began = Instant::now();
    let accepted = LOAD.submit(&fleet.client).join_all().await;
    let submitted = began.elapsed();
    let runs = LOAD.assert_in_order(&fleet, accepted).await;
    println!(
        "{} jobs were accepted in {submitted:?}, completed and read in {:?}",
        LOAD.jobs(),
        began.elapsed()
    );

    // No process was killed, so no call was made twice.
    assert_eq!(llm.stats().requests as u64, LOAD.jobs());
    assert_eq!(llm.refusals(), Vec::<String>::new());
    let served_by_several = runs.iter().filter(|run| run.workers().len() >= 2).count();
    println!(
        "{served_by_several} of {} sessions were served by two workers or more",
        runs.len()
    );
    assert!(
        served_by_several * 10 >= runs.len() * 9,
        "only {served_by_several} sessions were served by two workers or more"
    );
    for worker in &fleet.workers {
        let served = runs
            .iter()
            .filter(|run| run.workers().contains(worker.name()));
        assert!(served.count() > 0, "{} served no session", worker.name());
    }
    fleet.wait_for_live_jobs(0, LOAD.timeout).await;
}
