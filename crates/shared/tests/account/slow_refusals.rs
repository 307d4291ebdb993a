//! Providers whose refusals take up to 600 ms. So a call that has no answer after 500 ms may still be refused.

use crate::{
    limiter::Limiter,
    simulation::{Headers, START_MS, Scenario, Summary, run},
};

const SEEDS: u64 = 20;

fn run_with(limiter: &Limiter, headers: Headers, latency_max_ms: u64, seed: u64) -> Summary {
    run(Scenario {
        limiter: limiter.clone(),
        headers,
        jobs: 1_200,
        workers: 2,
        slots: 500,
        latency_ms: 20..=latency_max_ms,
        start_ms: START_MS,
        refusal_ms: 10..=600,
        outage_ms: 0..0,
        seed,
    })
}

/// Checks 1,200 jobs. At most the share `refused_max` of the later calls may be refused. The last call may start at most `time_max`
/// times as late as `needed_ms`.
fn check(limiter: &Limiter, needed_ms: f64, time_max: f64, refused_max: f64) {
    for headers in [Headers::RetryAfter, Headers::None, Headers::RateLimit] {
        for latency_max_ms in [200, 2_000, 5_000] {
            let (mut time_worst, mut refused_worst, mut refused_mean) = (0.0_f64, 0.0_f64, 0.0);
            for seed in 0..SEEDS {
                let summary = run_with(limiter, headers, latency_max_ms, seed);
                assert_eq!(summary.completed, 1_200);
                time_worst = time_worst.max(summary.last_start_ms as f64 / needed_ms);
                let refused =
                    f64::from(summary.later_refusals) / f64::from(summary.later_calls.max(1));
                refused_worst = refused_worst.max(refused);
                refused_mean += refused / SEEDS as f64;
            }
            let context = format!("{headers:?}, latency to {latency_max_ms} ms");
            println!(
                "{context}: refused {refused_worst:.3} (mean {refused_mean:.3}), time {time_worst:.3}"
            );
            assert!(time_worst <= time_max, "{context}: time {time_worst}");
            assert!(
                refused_worst <= refused_max,
                "{context}: refused {refused_worst}"
            );
        }
    }
}

#[test]
fn a_fixed_window_refuses_few_calls() {
    // The last of six windows begins after 50 s.
    check(&Limiter::fixed_window(200, 10_000), 50_000.0, 2.0, 0.1);
}

#[test]
fn a_sliding_window_refuses_few_calls() {
    check(&Limiter::sliding_window(200, 10_000), 50_000.0, 3.0, 0.15);
}

#[test]
fn a_token_bucket_refuses_few_calls() {
    check(&Limiter::token_bucket(1_200, 10), 59_500.0, 1.15, 0.04);
}
