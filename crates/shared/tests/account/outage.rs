//! A provider that is not available for some time. It gets few probes. When it is back, all calls may start at once.

use std::ops::Range;

use crate::{
    limiter::Limiter,
    simulation::{AT_ONCE_MS, Headers, START_MS, Scenario, Summary, run},
};

fn run_with(outage_ms: Range<u64>, seed: u64) -> Summary {
    run(Scenario {
        limiter: Limiter::None,
        headers: Headers::None,
        jobs: 1_000,
        workers: 2,
        slots: 500,
        latency_ms: 20..=2_000,
        start_ms: START_MS,
        refusal_ms: AT_ONCE_MS,
        outage_ms,
        seed,
    })
}

#[test]
fn an_outage_costs_at_most_one_probe_for_each_pause() {
    for seed in 0..20 {
        for outage_ms in [1_000, 25_000, 300_000, 3_600_000_u64] {
            let summary = run_with(0..outage_ms, seed);
            assert_eq!(summary.completed, 1_000);
            let first_ms = summary.first_closed_ms.unwrap();
            // A call that had its permit before the account closed starts within `START_MS`. It is not a probe.
            let during = |at: &&u64| (first_ms + 10..outage_ms).contains(*at);
            let probes = summary.started_ms.iter().filter(during).count() as u64;
            // The longest pauses double from 500 ms to 30 s, and a pause is at least half of its longest one. So from the seventh on,
            // each pause is at least 15 s.
            let probes_max = 8 + outage_ms / 15_000;
            assert!(
                probes <= probes_max,
                "seed {seed}: {probes} probes in {outage_ms} ms"
            );
            let recovered = summary
                .started_ms
                .iter()
                .find(|at| **at >= outage_ms)
                .unwrap();
            let probe_after_ms = recovered - outage_ms;
            assert!(
                probe_after_ms <= 30_100,
                "seed {seed}: the probe came {probe_after_ms} ms after the outage"
            );
            // The probe is answered within 2 s. Then each worker starts 100 calls in each pass of 50 ms, as its slots allow.
            let time_ms = summary.last_start_ms - recovered;
            assert!(
                time_ms <= 2_000 + 2_000 + 1_000,
                "seed {seed}: slow start, {time_ms} ms"
            );
        }
    }
}

#[test]
fn a_provider_that_was_away_costs_no_write_afterwards() {
    let few_jobs = run_with(0..1_000, 1);
    let many_jobs = run(Scenario {
        limiter: Limiter::None,
        headers: Headers::None,
        jobs: 10_000,
        workers: 2,
        slots: 500,
        latency_ms: 20..=2_000,
        start_ms: START_MS,
        refusal_ms: AT_ONCE_MS,
        outage_ms: 0..1_000,
        seed: 1,
    });
    assert_eq!(many_jobs.completed, 10_000);
    assert_eq!(few_jobs.writes, many_jobs.writes);
}
