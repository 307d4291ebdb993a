//! Redis reaches its `maxmemory`: new jobs are refused, and accepted jobs finish. Submits are accepted again when there
//! is memory.

use e2e::{
    client::Client,
    fleet::{Fleet, LIMIT, until},
};
use serde_json::json;

use crate::{
    load::Load, machine, provider, refusal::Refusal, returning::wait_until_accepting, seed,
};

const TIMES: usize = 3;
const FULL: &str = "store_full";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_refuses_new_jobs_and_finishes_accepted_ones() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).start().await;
    let load = Load::start(&fleet, "s", seed).await;

    for time in 1..=TIMES {
        load.wait_until_accepted(time, TIMES + 1).await;
        let gate = provider::hold(&llm, 20).await;
        let used = used_memory(&fleet).await;
        set_maxmemory(&fleet, used).await;
        load.assert_struck(&llm, "Redis was full");
        for n in 0..fleet.gateways.len() {
            until_refused(&fleet.client_of(n)).await;
        }
        gate.open();
        fleet.live_jobs_become(0, LIMIT).await;
        println!("time {time}: all jobs are done while Redis is full at {used} bytes");
        for n in 0..fleet.gateways.len() {
            let client = fleet.client_of(n);
            refused(&client).await.expect("a refusal");
            let answer = client.get("/readyz").await;
            Refusal::of(&answer).assert_503(&[FULL]);
        }

        set_maxmemory(&fleet, 0).await;
        for n in 0..fleet.gateways.len() {
            wait_until_accepting(&fleet.client_of(n), LIMIT).await;
        }
        load.wait_for_more(40).await;
    }

    let refusals = load.refusals();
    assert!(!refusals.is_empty(), "no submit of the load was refused");
    for refusal in refusals {
        refusal.assert_503(&[FULL]);
    }
    assert_eq!(load.unanswered(), 0);
    load.end_in_order(&fleet).await;
}

async fn until_refused(client: &Client) {
    let refuses = async || refused(client).await.is_some();
    assert!(until(LIMIT, refuses).await, "no submit was refused");
}

/// Submits a job; returns the refusal, if it is refused.
async fn refused(client: &Client) -> Option<Refusal> {
    let answer = client.submit(&json!({ "input": "one more" })).await;
    let refusal = (answer.status != 202).then(|| Refusal::of(&answer))?;
    refusal.assert_503(&[FULL]);
    Some(refusal)
}

async fn used_memory(fleet: &Fleet) -> u64 {
    let info = fleet.redis.cli(&["INFO", "memory"]).await;
    let info = info.expect("what Redis uses");
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let used = used.and_then(|used| used.trim().parse().ok());
    used.unwrap_or_else(|| panic!("no used_memory in {info}"))
}

async fn set_maxmemory(fleet: &Fleet, bytes: u64) {
    let set = ["CONFIG", "SET", "maxmemory", &bytes.to_string()];
    fleet.redis.cli(&set).await.expect("maxmemory is set");
}
