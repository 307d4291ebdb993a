//! Providers with fixed and sliding windows, without a limit, and far from their limit.

use std::ops::RangeInclusive;

use crate::{
    limiter::Limiter,
    simulation::{AT_ONCE_MS, Headers, START_MS, Scenario, Summary, run},
};

const HEADERS: [Headers; 3] = [Headers::RetryAfter, Headers::None, Headers::RateLimit];
const LATENCY_MS: RangeInclusive<u64> = 20..=2_000;

fn run_with(limiter: &Limiter, headers: Headers, jobs: u32, seed: u64) -> Summary {
    run(Scenario {
        limiter: limiter.clone(),
        headers,
        jobs,
        workers: 2,
        slots: 500,
        latency_ms: LATENCY_MS,
        start_ms: START_MS,
        refusal_ms: AT_ONCE_MS,
        outage_ms: 0..0,
        seed,
    })
}

/// Checks 1,200 jobs with a limiter of 200 calls in 10 s. The last call may start at most `time_max` times as late as the
/// limiter allows. At most the share `refused_max` of the calls after the first refusal may be refused.
fn check(limiter: &Limiter, time_max: f64, refused_max: f64) {
    for headers in HEADERS {
        let (mut time_worst, mut refused_worst) = (0.0_f64, 0.0_f64);
        for seed in 0..10 {
            let summary = run_with(limiter, headers, 1_200, seed);
            assert_eq!(summary.completed, 1_200);
            // The last of six windows begins after 50 s.
            time_worst = time_worst.max(summary.last_start_ms as f64 / 50_000.0);
            let refused = f64::from(summary.later_refusals) / f64::from(summary.later_calls.max(1));
            refused_worst = refused_worst.max(refused);
        }
        println!(
            "{headers:?}: refused {:.1} %, time {time_worst:.3}",
            refused_worst * 100.0
        );
        assert!(time_worst <= time_max, "{headers:?}: time {time_worst}");
        assert!(
            refused_worst <= refused_max,
            "{headers:?}: refused {refused_worst}"
        );
    }
}

#[test]
fn a_fixed_window_is_used_well_and_few_calls_are_refused() {
    check(&Limiter::fixed_window(200, 10_000), 1.5, 0.1);
}

#[test]
fn a_sliding_window_is_used_well_and_few_calls_are_refused() {
    check(&Limiter::sliding_window(200, 10_000), 2.5, 0.15);
}

/// The account starts calls at a part of the reported rate. Each refusal makes this part smaller. If the refusals contradict the
/// reports too often, the reports are ignored.
#[test]
fn reports_that_are_too_high_cost_few_refusals() {
    // 1,200 calls at 20 a second, with a burst of 10.
    let needed_ms = 59_500.0;
    for too_high_by in [1.5, 2.0, 4.0, 60.0] {
        for seed in 0..10 {
            let limiter = Limiter::token_bucket(1_200, 10).with_too_high_reports(too_high_by);
            let summary = run_with(&limiter, Headers::RateLimit, 1_200, seed);
            let refused = f64::from(summary.later_refusals) / f64::from(summary.later_calls);
            let time_ratio = summary.last_start_ms as f64 / needed_ms;
            println!(
                "{too_high_by} times too high, seed {seed}: refused {refused:.3}, time ratio {time_ratio:.3}"
            );
            assert!(refused <= 0.06, "{refused}");
            assert!(time_ratio <= 1.3, "{time_ratio}");
        }
    }
}

#[test]
fn a_provider_without_a_limit_costs_no_write() {
    let summary = run_with(&Limiter::None, Headers::None, 5_000, 1);
    assert_eq!((summary.completed, summary.writes), (5_000, 0));
}

#[test]
fn a_provider_that_reports_a_distant_limit_costs_no_write() {
    let limiter = Limiter::token_bucket(60_000, 10_000);
    let summary = run_with(&limiter, Headers::RateLimit, 5_000, 1);
    assert_eq!((summary.completed, summary.writes), (5_000, 0));
}
