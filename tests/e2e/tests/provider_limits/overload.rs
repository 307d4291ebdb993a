//! The provider accepts 10 calls in flight, and refuses further calls with 503. Forebay limits its calls in flight to about 10.

use std::time::Duration;

use e2e::{fleet::TIMEOUT, slowdown};
use scripted_provider::ScriptedLlm;
use serde_json::json;

use crate::{
    api_view::account,
    installation::{Engine, Installation},
    jobs, test_lock,
};

const JOBS: usize = 300;
const CAPACITY: u32 = 10;
const LATENCY_MS: u64 = 200;
/// The largest share of refused calls, counted from one second after the first refusal. The spike at the start, with up to 256 calls
/// for each worker, is left out.
const REFUSED_MAX: f64 = 0.15;
/// How many times as long as at full capacity the jobs may take.
const TIME_FACTOR: f64 = 3.0;

for_both_engines!(the_calls_in_flight_become_about_as_many_as_the_provider_accepts);

async fn the_calls_in_flight_become_about_as_many_as_the_provider_accepts(engine: Engine) {
    let _guard = test_lock::exclusive().await;
    let llm = ScriptedLlm::builder()
        .latency_ms(LATENCY_MS..=LATENCY_MS)
        .start()
        .await;
    llm.set_capacity(CAPACITY);
    let installation = Installation::start(engine, &llm, &[]).await;
    let began = slowdown::measure();
    let ids = jobs::submit(&installation.client, "job", JOBS, &json!({})).await;
    let ended = jobs::wait_for_all(&installation.client, &ids, TIMEOUT).await;
    let took = began.elapsed();
    let openai = account(&installation.client, "openai").await;
    let first_refusal_at = llm.calls().first_answer_at(503);
    let first_refusal_at = first_refusal_at.expect("the provider refused a call");
    let later = llm.calls().after(first_refusal_at + Duration::from_secs(1));
    let refused = later.answered_with(503) as f64 / later.count().max(1) as f64;
    println!(
        "{engine:?}: {:?} in {took:?}; {:.1} % of the later calls were refused; {openai}",
        jobs::ends(&ended),
        refused * 100.0
    );

    jobs::assert_all_completed(&ended);
    jobs::assert_each_answered_once(&llm, "job", JOBS);
    let slowdown = slowdown::between(began, std::time::Instant::now());
    assert!(
        refused <= REFUSED_MAX * slowdown,
        "the share {refused} of the later calls was refused"
    );
    let concurrency = openai["concurrency"]
        .as_u64()
        .expect("the account has a limit");
    assert!(
        (1..=u64::from(CAPACITY) * 2).contains(&concurrency),
        "{openai}"
    );
    let needed_ms = JOBS as u64 * LATENCY_MS / u64::from(CAPACITY);
    let time_max = Duration::from_millis(needed_ms).mul_f64(TIME_FACTOR);
    slowdown::assert_within(time_max, began, took, "the drain of all jobs");
}
