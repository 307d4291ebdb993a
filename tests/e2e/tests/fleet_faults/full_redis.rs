//! Redis at its `maxmemory`: new jobs are refused, those accepted finish, and there is no way out but room.

use e2e::{
    client::Client,
    fleet::{Fleet, LIMIT, until},
};
use serde_json::json;

use crate::{load::Load, machine, provider, refusal::Refusal, returning::accepts_again, seed};

const TIMES: usize = 3;
const FULL: &str = "store_full";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_takes_no_new_jobs_and_finishes_those_it_has() {
    let _place = machine::place().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).start().await;
    let load = Load::start(&fleet, "s", seed).await;

    for time in 1..=TIMES {
        load.reaches(time, TIMES + 1).await;
        let gate = provider::hold(&llm, 20).await;
        let used = used_memory(&fleet).await;
        set_maxmemory(&fleet, used).await;
        load.assert_struck(&llm, "Redis was full");
        for n in 0..fleet.gateways.len() {
            until_refused(&fleet.client_of(n)).await;
        }
        gate.open();
        fleet.live_jobs_become(0, LIMIT).await;
        println!("time {time}: all is done while Redis is full at {used} bytes");
        for n in 0..fleet.gateways.len() {
            let client = fleet.client_of(n);
            refused(&client).await.expect("a refusal");
            let answer = client.get("/readyz").await;
            Refusal::of(&answer).assert_503(&[FULL]);
        }

        set_maxmemory(&fleet, 0).await;
        for n in 0..fleet.gateways.len() {
            accepts_again(&fleet.client_of(n), LIMIT).await;
        }
        load.goes_on(40).await;
    }

    let refusals = load.refusals();
    assert!(!refusals.is_empty(), "the load has noticed nothing");
    for refusal in refusals {
        refusal.assert_503(&[FULL]);
    }
    assert_eq!(load.unanswered(), 0);
    load.end_in_order(&fleet).await;
}

async fn until_refused(client: &Client) {
    let refuses = async || refused(client).await.is_some();
    assert!(until(LIMIT, refuses).await, "nothing is refused");
}

/// The refusal of a submit, if it is refused.
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
    fleet.redis.cli(&set).await.expect("a bound on its memory");
}
