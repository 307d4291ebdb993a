//! Calls that start some time after their permits, as in a fleet, whose wakes pass through the broker.

use std::ops::RangeInclusive;

use crate::{
    limiter::Limiter,
    simulation::{AT_ONCE_MS, Headers, Scenario, run},
};

const SEEDS: u64 = 30;
const JOBS: u32 = 300;
/// The time that the jobs need at 20 calls a second with a burst of 10, in milliseconds.
const NEEDED_MS: f64 = 14_500.0;

/// Checks the share of refused calls and the start of the last call in each run.
fn check(headers: Headers, start_ms: &RangeInclusive<u64>, refused_max: f64, time_max_ms: f64) {
    let (mut refused_worst, mut refused_mean, mut time_worst_ms) = (0.0_f64, 0.0, 0);
    for seed in 0..SEEDS {
        let summary = run(Scenario {
            limiter: Limiter::token_bucket(1_200, 10),
            headers,
            jobs: JOBS,
            workers: 2,
            slots: 500,
            latency_ms: 20..=100,
            start_ms: start_ms.clone(),
            refusal_ms: AT_ONCE_MS,
            outage_ms: 0..0,
            seed,
        });
        assert_eq!(summary.completed, JOBS);
        let refused = f64::from(summary.later_refusals) / f64::from(summary.later_calls.max(1));
        refused_worst = refused_worst.max(refused);
        refused_mean += refused / SEEDS as f64;
        time_worst_ms = time_worst_ms.max(summary.last_start_ms);
    }
    let context = format!("{headers:?}, starts within {start_ms:?} ms");
    println!(
        "{context}: refused {refused_worst:.3} (mean {refused_mean:.3}), last start at {time_worst_ms} ms"
    );
    assert!(refused_worst <= refused_max, "{context}");
    assert!(time_worst_ms as f64 <= time_max_ms, "{context}");
}

#[test]
fn the_limit_is_kept_although_calls_start_late() {
    for start_ms in [0..=5, 5..=50, 20..=100, 50..=200] {
        // `Retry-After` has whole seconds, so each refusal forbids calls for a second.
        let retry_after_ms = 500.0 + *start_ms.end() as f64 * 7.0;
        check(Headers::None, &start_ms, 0.05, NEEDED_MS / 0.9);
        check(Headers::RateLimit, &start_ms, 0.02, NEEDED_MS / 0.9);
        check(
            Headers::RetryAfter,
            &start_ms,
            0.05,
            NEEDED_MS / 0.9 + retry_after_ms,
        );
    }
}
