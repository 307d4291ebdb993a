//! Two providers, one of which is closed while many jobs wait for it. The jobs of the other provider are as fast as without
//! the waiting jobs, and many waiting jobs cost no more than few. When the closed provider opens, its jobs drain at its rate
//! from the first second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use e2e::{fleet::TIMEOUT, slowdown};
use scripted_provider::{Latency, LimitHeaders, ProviderError, RateLimit, Recorded, ScriptedLlm};
use serde_json::json;

use crate::{
    api_view::{account, wait_until_jobs_wait},
    cost::Cost,
    installation::{Engine, Installation},
    jobs,
    steady_load::{assert_as_fast_as, measure},
    test_lock,
};

/// A model of the other provider.
const OTHER_MODEL: &str = "gemini-test";
/// The time of each call to the other provider.
const OTHER_LATENCY: Duration = Duration::from_millis(200);
/// The rate of the closed provider, while it is open.
const CALLS_PER_MINUTE: u32 = 6_000;
const CALLS_PER_S: f64 = 100.0;
const BURST: u32 = 20;
/// The jobs from which Forebay learns the rate of the provider before it closes.
const JOBS_BEFORE: usize = 300;
/// How many jobs wait when the cost of few waiting jobs is counted. So many occupy all 256 partitions of the store, because
/// counting an empty partition costs fewer commands.
const FEW_WAITING: usize = 1_000;
/// How long the drain is measured after the provider has opened, in seconds.
const DRAIN_S: usize = 10;

/// The size of a test.
#[derive(Clone, Copy)]
struct Size {
    /// How many jobs wait for the closed provider.
    waiting: usize,
    /// The pause that the closed provider asks for with each refusal.
    retry_after_s: u64,
}

for_both_engines!(
    #[ignore = "long: runs in .ci/full"]
    a_closed_provider_does_not_slow_the_other,
    #[ignore = "long: runs in .ci/full"]
    a_closed_provider_with_100_000_waiting_jobs_does_not_slow_the_other,
);

async fn a_closed_provider_does_not_slow_the_other(engine: Engine) {
    let size = Size {
        waiting: 1_500,
        retry_after_s: 5,
    };
    run(engine, size).await;
}

async fn a_closed_provider_with_100_000_waiting_jobs_does_not_slow_the_other(engine: Engine) {
    let size = Size {
        waiting: 100_000,
        retry_after_s: 60,
    };
    run(engine, size).await;
}

async fn run(engine: Engine, size: Size) {
    let _guard = test_lock::exclusive().await;
    let other = ScriptedLlm::builder().latency(Latency::Fixed(OTHER_LATENCY));
    let other = other.start().await;
    let (openai, is_closed) = start_closable(size).await;
    let other_url = other.gemini_base_url();
    let env = [
        ("GEMINI_BASE_URL", other_url.as_str()),
        ("GEMINI_API_KEY", "test-key-gemini"),
        // The waiting jobs may take half of the backlog.
        ("FOREBAY_BACKLOG_MAX", "300000"),
    ];
    let installation = Installation::start(engine, &openai, &env).await;
    let client = &installation.client;

    let before = jobs::submit(client, "before", JOBS_BEFORE, &json!({})).await;
    let before = jobs::wait_for_all(client, &before, TIMEOUT).await;
    println!(
        "{engine:?}: before the provider closed: {:?}",
        jobs::ends(&before)
    );
    let alone = measure(client, OTHER_MODEL).await;

    is_closed.store(true, Ordering::Relaxed);
    let began = slowdown::measure();
    let mut ids = jobs::submit(client, "few", FEW_WAITING, &json!({})).await;
    wait_until_jobs_wait(client, &ids, TIMEOUT).await;
    let few = Cost::count(&installation).await;
    ids.extend(jobs::submit(client, "many", size.waiting - FEW_WAITING, &json!({})).await);
    wait_until_jobs_wait(client, &ids, TIMEOUT).await;
    let many = Cost::count(&installation).await;
    assert_cost_is_flat(few, many, slowdown::between(began, Instant::now()));
    assert_as_fast_as(alone, client, OTHER_MODEL).await;
    wait_until_jobs_wait(client, &ids, TIMEOUT).await;

    is_closed.store(false, Ordering::Relaxed);
    assert_drains_at_its_rate(&openai, size).await;
    // The end of more jobs would take too long.
    if size.waiting <= DRAIN_S * CALLS_PER_S as usize * 2 {
        let ended = jobs::wait_for_all(client, &ids, TIMEOUT).await;
        jobs::assert_all_completed(&ended);
        jobs::assert_each_answered_once(&openai, "few", FEW_WAITING);
        jobs::assert_each_answered_once(&openai, "many", size.waiting - FEW_WAITING);
        jobs::assert_all_completed(&before);
    } else {
        let account = account(client, "openai").await;
        assert_eq!(account["phase"], "open", "{account}");
    }
}

/// Starts a provider with a limited rate. While the flag is set, it refuses every call with 503.
async fn start_closable(size: Size) -> (ScriptedLlm, Arc<AtomicBool>) {
    let llm = ScriptedLlm::start().await;
    let limit = RateLimit::token_bucket(CALLS_PER_MINUTE, BURST);
    llm.set_rate_limit(Some(limit.with_headers(LimitHeaders::XRateLimit)));
    let is_closed = Arc::new(AtomicBool::new(false));
    let rule_is_closed = Arc::clone(&is_closed);
    llm.add_rule(move |_| {
        let error = ProviderError::new(503, "The server is down for maintenance.");
        let error = error.with_retry_after_s(size.retry_after_s);
        rule_is_closed.load(Ordering::Relaxed).then(|| error.into())
    });
    (llm, is_closed)
}

/// Asserts that many waiting jobs cost as much as few. 10 % more are allowed, and a constant for random variation.
fn assert_cost_is_flat(few: Cost, many: Cost, slowdown: f64) {
    println!("in 10 s, {FEW_WAITING} waiting jobs cost {few:?}, and all waiting jobs {many:?}");
    let is_flat = |few: u64, many: u64, variation: u64| many <= few + few / 10 + variation;
    assert!(
        is_flat(few.store_commands, many.store_commands, 100),
        "the store commands grow with the waiting jobs: {few:?}, {many:?}"
    );
    assert!(
        is_flat(few.deliveries, many.deliveries, 10),
        "the deliveries grow with the waiting jobs: {few:?}, {many:?}"
    );
    let cpu_max = (few.cpu.mul_f64(1.1) + Duration::from_millis(200)).mul_f64(slowdown);
    assert!(
        many.cpu <= cpu_max,
        "the CPU time grows with the waiting jobs: {few:?}, {many:?}"
    );
}

/// Waits for the first call that the opened provider accepts. Asserts that from then on the accepted calls follow its rate,
/// in the first second and over 10 seconds.
async fn assert_drains_at_its_rate(llm: &ScriptedLlm, size: Size) {
    let opened_at = slowdown::measure();
    let since_opening = move |record: &&Recorded| record.request.arrived_at >= opened_at;
    let wanted = (CALLS_PER_S * DRAIN_S as f64 * 0.9) as usize;
    let has_drained = |records: &[Recorded]| {
        let newest = records.iter().rev().take_while(since_opening);
        newest.filter(|record| record.is_ok()).count() >= wanted
    };
    let timeout = TIMEOUT + Duration::from_secs(size.retry_after_s);
    llm.wait_for_within(timeout, "the drain of the waiting jobs", has_drained)
        .await;
    let arrivals = llm.calls().after(opened_at).accepted_arrivals();
    let first = arrivals[0];
    let within = |seconds: f64| {
        let end = first + Duration::from_secs_f64(seconds);
        arrivals.iter().filter(|arrival| **arrival < end).count()
    };
    let slowdown = slowdown::between(opened_at, Instant::now());
    let took = *arrivals.iter().max().expect("calls were accepted") - first;
    println!(
        "after the opening: {} calls in the first second, {wanted} calls in {took:?}, with a slowdown of {slowdown:.1}",
        within(slowdown)
    );
    assert!(
        within(slowdown) as f64 >= CALLS_PER_S * 0.8,
        "only {} calls were accepted in the first second",
        within(slowdown)
    );
    assert!(
        took <= Duration::from_secs(DRAIN_S as u64).mul_f64(slowdown),
        "{wanted} calls took {took:?}"
    );
}
