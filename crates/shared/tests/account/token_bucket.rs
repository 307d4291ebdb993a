//! A provider with a token bucket. It refuses few calls, and the jobs complete nearly at its rate.
//!
//! Jobs arrive all at once. The calls in flight at the first refusal are not counted.

use std::ops::RangeInclusive;

use crate::{
    limiter::Limiter,
    simulation::{AT_ONCE_MS, Headers, START_MS, Scenario, Summary, run},
};

const FAST_MS: RangeInclusive<u64> = 20..=200;
const SLOW_MS: RangeInclusive<u64> = 20..=5_000;
const SEEDS: u64 = 10;
/// How much longer the jobs may take because the bucket overflows during the search for the rate, in milliseconds.
const RAMP_MS: f64 = 1_100.0;

/// A provider, and how many jobs it gets.
#[derive(Clone, Copy, Debug)]
struct Provider {
    per_minute: u64,
    burst: u64,
    jobs: u32,
}

impl Provider {
    const fn per_second(self) -> f64 {
        self.per_minute as f64 / 60.0
    }

    /// The time that the jobs need at the provider's rate, in milliseconds.
    fn needed_ms(self) -> f64 {
        (f64::from(self.jobs) - self.burst as f64) / self.per_second() * 1_000.0
    }

    /// The time that is lost because the bucket overflows while `Retry-After: 1` forbids calls for a second, in milliseconds.
    fn lost_ms(self) -> f64 {
        (1_000.0 - self.burst as f64 / self.per_second() * 1_000.0).max(0.0)
    }

    fn run(
        self,
        headers: Headers,
        latency_ms: RangeInclusive<u64>,
        workers: usize,
        seed: u64,
    ) -> Summary {
        run(Scenario {
            limiter: Limiter::token_bucket(self.per_minute, self.burst),
            headers,
            jobs: self.jobs,
            workers,
            slots: 1_000,
            latency_ms,
            start_ms: START_MS,
            refusal_ms: AT_ONCE_MS,
            outage_ms: 0..0,
            seed,
        })
    }
}

/// Runs a provider with some seeds and numbers of workers, prints the worst figures, and checks each run.
fn check(provider: Provider, headers: Headers, latency_ms: &RangeInclusive<u64>, refused_max: f64) {
    let (mut refused_worst, mut time_worst, mut time_sum) = (0.0_f64, 0.0_f64, 0.0);
    for seed in 0..SEEDS {
        for workers in 1..=3 {
            let summary = provider.run(headers, latency_ms.clone(), workers, seed);
            let context =
                format!("{provider:?} {headers:?} {latency_ms:?}, {workers} workers, seed {seed}");
            assert_eq!(summary.completed, provider.jobs, "{context}");
            let refused = f64::from(summary.later_refusals) / f64::from(summary.later_calls.max(1));
            assert!(
                refused <= refused_max,
                "{context}: {refused} of the calls were refused"
            );
            let time_ms = summary.last_start_ms as f64;
            let lost_ms = match headers {
                Headers::RetryAfter => provider.lost_ms() * f64::from(summary.closings) + RAMP_MS,
                Headers::None | Headers::RateLimit => 0.0,
            };
            if provider.burst > 1 {
                let time_max_ms = provider.needed_ms() / 0.9 + lost_ms;
                assert!(
                    time_ms <= time_max_ms,
                    "{context}: {time_ms} ms instead of {time_max_ms} ms"
                );
            }
            refused_worst = refused_worst.max(refused);
            time_worst = time_worst.max(time_ms / provider.needed_ms());
            time_sum += time_ms / provider.needed_ms();
        }
    }
    println!(
        "{:5}/min, burst {:3}, {headers:?}, latency {latency_ms:?} ms: refused {:.1} %, time {time_worst:.3} of the time needed (mean {:.3})",
        provider.per_minute,
        provider.burst,
        refused_worst * 100.0,
        time_sum / (SEEDS * 3) as f64,
    );
}

fn check_all(per_minute: u64, jobs: u32, bursts: &[u64]) {
    for burst in bursts.iter().copied() {
        let provider = Provider {
            per_minute,
            burst,
            jobs,
        };
        for latency_ms in [FAST_MS, SLOW_MS] {
            check(provider, Headers::RetryAfter, &latency_ms, 0.05);
            check(provider, Headers::None, &latency_ms, 0.05);
            let refused_max = if burst == 1 { 0.05 } else { 0.02 };
            check(provider, Headers::RateLimit, &latency_ms, refused_max);
        }
    }
}

/// 300 jobs at 20 calls a second with a burst of 10, as in `tests/e2e/tests/provider_limits/rate_limit.rs`.
#[test]
fn most_runs_end_within_the_time_at_nine_tenths_of_the_rate() {
    let provider = Provider {
        per_minute: 1_200,
        burst: 10,
        jobs: 300,
    };
    let mut times = Vec::new();
    for seed in 0..100 {
        let summary = provider.run(Headers::RetryAfter, FAST_MS, 1 + seed as usize % 3, seed);
        times.push(summary.last_start_ms as f64 / provider.needed_ms());
    }
    times.sort_by(f64::total_cmp);
    println!(
        "median {:.3}, p90 {:.3}, worst {:.3}",
        times[50], times[90], times[99]
    );
    assert!(times[50] <= 1.0 / 0.9, "the median is {}", times[50]);
    assert!(times[99] <= 1.15, "the worst is {}", times[99]);
}

#[test]
fn twenty_calls_a_second() {
    check_all(1_200, 300, &[10, 100, 1]);
}

#[test]
fn one_call_a_second() {
    check_all(60, 300, &[10, 100, 1]);
}

#[test]
fn a_hundred_calls_a_second() {
    check_all(6_000, 3_000, &[10, 100]);
}

/// At 20 calls a second with a burst of 1, the provider refuses the second of two calls that are less than 50 ms apart. A
/// pass takes place each 50 ms.
#[test]
fn a_provider_without_a_burst_is_used_at_a_fifth_of_its_rate_or_more() {
    for headers in [Headers::None, Headers::RateLimit] {
        for seed in 0..SEEDS {
            let provider = Provider {
                per_minute: 1_200,
                burst: 1,
                jobs: 300,
            };
            let summary = provider.run(headers, FAST_MS, 2, seed);
            let part = summary.last_start_ms as f64 / provider.needed_ms();
            assert!(part < 5.0, "{headers:?}, seed {seed}: {part}");
        }
    }
}
