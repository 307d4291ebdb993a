//! 300 jobs come at once, and the provider accepts 20 calls a second (a token bucket of 1,200 a minute, with a burst of
//! 10). All jobs complete, the provider refuses few calls, and the queue drains nearly as fast as the provider allows.
//!
//! `FOREBAY_TEST_CALLS_PER_MINUTE=60` runs the same tests at another rate.

use std::time::{Duration, Instant};

use e2e::{fleet::TIMEOUT, slowdown};
use scripted_provider::{LimitHeaders, RateLimit, ScriptedLlm};
use serde_json::json;

use crate::{
    installation::{Engine, Installation},
    jobs, test_lock,
};

const JOBS: usize = 300;
const CALLS_PER_MINUTE: u32 = 1_200;
const BURST: u32 = 10;
/// The share of the provider's rate that the queue must reach.
const RATE_SHARE: f64 = 0.9;
/// The time after which all workers know that the provider refuses calls, on an idle machine.
const KNOWN_WITHIN: Duration = Duration::from_millis(200);

for_both_engines!(
    the_queue_drains_at_the_limit_with_retry_after,
    the_queue_drains_at_the_limit_without_headers,
    the_queue_drains_at_the_limit_with_x_ratelimit_headers,
);

async fn the_queue_drains_at_the_limit_with_retry_after(engine: Engine) {
    drain(engine, LimitHeaders::RetryAfter, 0.05).await;
}

async fn the_queue_drains_at_the_limit_without_headers(engine: Engine) {
    drain(engine, LimitHeaders::None, 0.05).await;
}

async fn the_queue_drains_at_the_limit_with_x_ratelimit_headers(engine: Engine) {
    drain(engine, LimitHeaders::XRateLimit, 0.02).await;
}

/// Runs the jobs. At most the share `refused_max` of the calls may be refused, apart from those that were in flight at the first
/// refusal.
async fn drain(engine: Engine, headers: LimitHeaders, refused_max: f64) {
    let _guard = test_lock::exclusive().await;
    let per_minute = calls_per_minute();
    let llm = ScriptedLlm::builder().latency_ms(20..=100).start().await;
    let limit = RateLimit::token_bucket(per_minute, BURST).with_headers(headers);
    llm.set_rate_limit(Some(limit));
    let installation = Installation::start(engine, &llm, &[]).await;
    let mut drain_time_max = drain_time_max(per_minute);
    if headers == LimitHeaders::RetryAfter {
        drain_time_max += whole_seconds_cost(per_minute);
    }

    let began = slowdown::measure();
    let ids = jobs::submit(&installation.client, "job", JOBS, &json!({})).await;
    let timeout = TIMEOUT + drain_time_max * 2;
    let ended = jobs::wait_for_all(&installation.client, &ids, timeout).await;
    let took = began.elapsed();
    let calls = llm.calls();
    println!(
        "{engine:?}, {headers:?}, {per_minute} a minute: {:?} in {took:?}; {} of {} calls were refused",
        jobs::ends(&ended),
        calls.refused(),
        calls.count()
    );
    let first_refusal_at = calls.first_answer_at(429);
    let first_refusal_at = first_refusal_at.expect("the provider refused a call at its limit");
    // The other worker can send calls until it knows of the first refusal. Those calls count as in flight. At the start, when all jobs
    // begin at once, the machine is slower than later.
    let start_slowdown = slowdown::between(began, first_refusal_at + KNOWN_WITHIN);
    let later = calls.after(first_refusal_at + KNOWN_WITHIN.mul_f64(start_slowdown));
    let refused = later.refused() as f64 / later.count().max(1) as f64;
    println!(
        "after the first refusal: {} of {} calls were refused, which are {:.1} %",
        later.refused(),
        later.count(),
        refused * 100.0
    );
    println!(
        "times from the first refusal to the arrivals of the refused calls: {:.2?}",
        later.arrivals_since(429, first_refusal_at)
    );

    // On a busy machine, calls start later after their permits.
    let slowdown = slowdown::between(began, Instant::now());
    let refused_max = refused_max * slowdown;
    jobs::assert_all_completed(&ended);
    jobs::assert_each_answered_once(&llm, "job", JOBS);
    assert!(
        refused <= refused_max,
        "{:.1} % of the calls after the first refusal were refused, but at most {:.0} % are allowed",
        refused * 100.0,
        refused_max * 100.0
    );
    slowdown::assert_within(drain_time_max, began, took, "the drain of all jobs");
}

/// The time in which all jobs must end on an idle machine.
fn drain_time_max(per_minute: u32) -> Duration {
    let calls_at_rate = (JOBS - BURST as usize) as f64;
    Duration::from_secs_f64(calls_at_rate / RATE_SHARE / (f64::from(per_minute) / 60.0))
}

/// How much longer the drain takes because `Retry-After` has whole seconds: each refusal closes the account for a second, although the
/// provider's bucket may be full earlier. Two refusals are necessary: the first one, and the one that ends the search for the rate.
fn whole_seconds_cost(per_minute: u32) -> Duration {
    let full_after_s = f64::from(BURST) / (f64::from(per_minute) / 60.0);
    2 * Duration::from_secs_f64((1.0 - full_after_s).max(0.0))
}

fn calls_per_minute() -> u32 {
    let variable = std::env::var("FOREBAY_TEST_CALLS_PER_MINUTE").ok();
    variable.map_or(CALLS_PER_MINUTE, |text| {
        text.parse()
            .expect("FOREBAY_TEST_CALLS_PER_MINUTE is a number")
    })
}
