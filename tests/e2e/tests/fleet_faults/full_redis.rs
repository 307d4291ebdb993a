//! Redis reaches its `maxmemory`. Gateways refuse new jobs, and accepted jobs end. Gateways accept jobs
//! again when Redis has free memory.

use std::time::{Duration, Instant};

use e2e::{
    client::Client,
    fleet::{Fleet, TIMEOUT, poll_until},
    slowdown,
};
use serde_json::json;

use crate::{
    load::FaultLoad, permits, provider, recovery::wait_for_accept, refusal::Refusal, seed,
};

/// How many times Redis becomes full.
const REPEATS: usize = 3;
/// How long a gateway may take until it refuses or accepts jobs, on an idle machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);
/// The code of a refusal because the store is full.
const FULL: &str = "store_full";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_full_new_jobs_are_refused_and_accepted_jobs_end() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).start().await;
    let load = FaultLoad::start(&fleet, "s", REPEATS, seed).await;

    for repeat in 1..=REPEATS {
        load.wait_until_fault_is_due(repeat).await;
        let gate = provider::stop_calls(&llm, 20).await;
        let used = used_memory(&fleet).await;
        set_maxmemory(&fleet, used).await;
        load.assert_fault_during_load(&llm, "Redis was full");
        for gateway in 0..fleet.gateways.len() {
            wait_for_refusal(&fleet.client_of(gateway)).await;
        }
        gate.open();
        fleet.wait_for_live_jobs(0, TIMEOUT).await;
        println!("repeat {repeat}: all jobs have ended while Redis is full at {used} bytes");
        for gateway in 0..fleet.gateways.len() {
            let client = fleet.client_of(gateway);
            submit_refusal(&client)
                .await
                .expect("the gateway refuses the submit");
            let answer = client.get("/readyz/submits").await;
            Refusal::from_answer(&answer).assert_503(&[FULL]);
            // Reads are served.
            client.get("/readyz").await.expect(200);
        }

        // 0 means no limit.
        set_maxmemory(&fleet, 0).await;
        for gateway in 0..fleet.gateways.len() {
            wait_for_accept(&fleet.client_of(gateway), NOTICED_WITHIN).await;
        }
        load.wait_for_more_accepted(40).await;
    }

    let mut refusals = load.refusals();
    refusals.retain(|refusal| !refusal.is_caused_by_slow_machine());
    assert!(!refusals.is_empty(), "no submit of the load was refused");
    for refusal in refusals {
        refusal.assert_503(&[FULL]);
    }
    assert_eq!(load.unanswered(), 0, "submits got no answer");
    load.finish_in_order(&fleet).await;
}

async fn wait_for_refusal(client: &Client) {
    let refuses = async || submit_refusal(client).await.is_some();
    let began = Instant::now();
    assert!(
        poll_until(TIMEOUT, refuses).await,
        "a gateway refused no submit within {TIMEOUT:?}"
    );
    let what = "the first refused submit";
    slowdown::assert_within(NOTICED_WITHIN, began, began.elapsed(), what);
}

/// Submits a job. Returns the refusal, or `None` if the job is accepted.
async fn submit_refusal(client: &Client) -> Option<Refusal> {
    let answer = client.submit(&json!({ "input": "one more" })).await;
    let refusal = (answer.status != 202).then(|| Refusal::from_answer(&answer))?;
    refusal.assert_503(&[FULL]);
    Some(refusal)
}

/// The memory that Redis uses, in bytes.
async fn used_memory(fleet: &Fleet) -> u64 {
    let info = fleet.redis.cli(&["INFO", "memory"]).await;
    let info = info.expect("Redis returns its memory statistics");
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let used = used.and_then(|used| used.trim().parse().ok());
    used.unwrap_or_else(|| panic!("the statistics of Redis have no used_memory: {info}"))
}

async fn set_maxmemory(fleet: &Fleet, bytes: u64) {
    let set = ["CONFIG", "SET", "maxmemory", &bytes.to_string()];
    fleet
        .redis
        .cli(&set)
        .await
        .expect("Redis changes its maxmemory");
}
