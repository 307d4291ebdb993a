//! A provider that is overloaded by too many calls in flight.

use forebay_shared::{
    account::{Account, AccountEvent, ClosedBy, Phase, Refusal},
    ids::ProcessId,
    job::JobError,
    time::TimeMs,
};

use crate::{
    limiter::Limiter,
    simulation::{AT_ONCE_MS, Headers, START_MS, Scenario, run},
};

const JOBS: u32 = 2_000;
const CONCURRENCY: u32 = 20;

/// After the first refusal, few calls are refused, and the provider is used well.
#[test]
fn the_calls_in_flight_are_limited_to_what_the_provider_accepts() {
    for latency_ms in [50..=150, 500..=1_500, 1_000..=9_000] {
        let (mut refused_worst, mut time_worst) = (0.0_f64, 0.0_f64);
        for (seed, workers) in (0..10).flat_map(|seed| [(seed, 1), (seed, 3)]) {
            let summary = run(Scenario {
                limiter: Limiter::concurrency(CONCURRENCY),
                headers: Headers::None,
                jobs: JOBS,
                workers,
                slots: 256,
                latency_ms: latency_ms.clone(),
                start_ms: START_MS,
                refusal_ms: AT_ONCE_MS,
                outage_ms: 0..0,
                seed,
            });
            assert_eq!(summary.completed, JOBS);
            let latency_mean_ms = (latency_ms.start() + latency_ms.end()) as f64 / 2.0;
            let needed_ms = f64::from(JOBS / CONCURRENCY) * latency_mean_ms;
            time_worst = time_worst.max(summary.last_end_ms as f64 / needed_ms);
            let refused = f64::from(summary.later_refusals) / f64::from(summary.later_calls.max(1));
            refused_worst = refused_worst.max(refused);
        }
        println!("latency {latency_ms:?}: refused {refused_worst:.3}, time {time_worst:.2}");
        assert!(
            refused_worst <= 0.1,
            "{latency_ms:?}: refused {refused_worst}"
        );
        assert!(time_worst <= 1.8, "{latency_ms:?}: time {time_worst}");
    }
}

/// After the first spike, few calls are refused, although the provider accepts only 10. The refusals may take as
/// long as replies do, so that no accepted call is in flight when the last of them arrives.
#[test]
fn the_refusals_of_a_spike_show_how_many_calls_the_provider_accepts() {
    const JOBS: u32 = 300;
    for refusal_ms in [AT_ONCE_MS, 60..=120, 100..=400] {
        for latency_ms in [200..=200, 150..=300, 1_000..=9_000] {
            let (mut refused_worst, mut time_worst) = (0, 0.0_f64);
            for (seed, workers) in (0..10).flat_map(|seed| [(seed, 1), (seed, 2)]) {
                let summary = run(Scenario {
                    limiter: Limiter::concurrency(10),
                    headers: Headers::None,
                    jobs: JOBS,
                    workers,
                    slots: 256,
                    latency_ms: latency_ms.clone(),
                    start_ms: START_MS,
                    refusal_ms: refusal_ms.clone(),
                    outage_ms: 0..0,
                    seed,
                });
                assert_eq!(summary.completed, JOBS);
                refused_worst = refused_worst.max(summary.later_refusals);
                let latency_mean_ms = (latency_ms.start() + latency_ms.end()) as f64 / 2.0;
                let needed_ms = f64::from(JOBS / 10) * latency_mean_ms;
                time_worst = time_worst.max(summary.last_end_ms as f64 / needed_ms);
            }
            println!(
                "refusals after {refusal_ms:?}, latency {latency_ms:?}: refused {refused_worst}, time {time_worst:.2}"
            );
            assert!(refused_worst <= 40, "{refused_worst} calls were refused");
            assert!(time_worst <= 2.3, "time {time_worst}");
        }
    }
}

const START: TimeMs = TimeMs(1_764_000_000_000);

/// The provider refuses a call of a process that has this many calls in flight. `None`: the refusal shows no overload.
fn refuse(account: &mut Account, overload_calls: Option<u32>, now: TimeMs) {
    let refusal = Refusal {
        cause: ClosedBy::Unavailable,
        taken_at: now,
        overload_calls,
        retry_after_ms: Some(1_000),
        limits: None,
        error: JobError::new("provider_unavailable", "overloaded"),
        random: 0.5,
    };
    account.apply(&AccountEvent::Refused(refusal), now);
}

/// The provider refuses a call, and then each probe but the last one. Returns a time right after the last probe started.
fn refuse_probes(account: &mut Account, count: u32) -> TimeMs {
    let mut now = START;
    for _ in 0..count {
        refuse(account, Some(100), now);
        now = now.plus_ms(60_000);
        assert_eq!(take(account, 200, now), 1, "the probe");
        now = now.plus_ms(1);
    }
    now
}

fn answer(account: &mut Account, calls: usize, now: TimeMs) {
    let answered = AccountEvent::Answered {
        started_at: vec![now; calls],
        replies: 1,
        tokens: 0,
        limits: None,
    };
    account.apply(&answered, now);
}

fn take(account: &mut Account, calls: u32, now: TimeMs) -> u32 {
    let process = ProcessId::parse("worker-1").unwrap();
    let take = AccountEvent::Take {
        calls,
        process,
        more_wait: false,
    };
    account.apply(&take, now).granted
}

#[test]
fn after_an_overload_half_of_the_calls_may_start_and_answers_allow_more() {
    let mut account = Account::default();
    refuse(&mut account, Some(100), START);
    let later = START.plus_ms(2_000);
    assert_eq!(take(&mut account, 200, later), 1, "the probe");
    answer(&mut account, 1, later);
    assert_eq!(account.phase, Phase::Open);
    assert_eq!(take(&mut account, 200, later), 49);
    answer(&mut account, 10, later.plus_ms(10));
    assert_eq!(
        account.concurrency(),
        Some(60),
        "each answered call raises the limit by 1"
    );
    assert_eq!(take(&mut account, 200, later.plus_ms(20)), 10);
}

#[test]
fn a_limit_of_one_call_grows() {
    let mut account = Account::default();
    refuse(&mut account, Some(100), START);
    // The refusal of the last other call in flight.
    refuse(&mut account, Some(1), START);
    assert_eq!(account.concurrency(), Some(1));
    let later = START.plus_ms(2_000);
    assert_eq!(take(&mut account, 200, later), 1, "the probe");
    answer(&mut account, 1, later);
    assert_eq!(account.concurrency(), Some(1));
    let process = ProcessId::parse("worker-1").unwrap();
    account.apply(&AccountEvent::Ended { process, calls: 1 }, later);
    answer(&mut account, 1, later);
    assert_eq!(account.concurrency(), Some(2));
}

#[test]
fn the_refusal_of_a_probe_does_not_lower_the_limit() {
    let mut account = Account::default();
    refuse_probes(&mut account, 20);
    assert_eq!(account.concurrency(), Some(50));
}

#[test]
fn an_outage_limits_no_calls_in_flight() {
    let mut account = Account::default();
    refuse(&mut account, None, START);
    assert_eq!(account.concurrency(), None);
}

#[test]
fn an_answered_probe_after_a_long_overload_does_not_start_all_calls_at_once() {
    let mut account = Account::default();
    let now = refuse_probes(&mut account, 5);
    answer(&mut account, 1, now);
    assert_eq!(account.phase, Phase::Open);
    // The five probes count as in flight.
    assert_eq!(take(&mut account, 200, now), 45);
}

#[test]
fn calls_from_before_the_overload_delay_the_probe_for_10_seconds() {
    let mut account = Account::default();
    refuse(&mut account, Some(100), START);
    let process = ProcessId::parse("worker-1").unwrap();
    let in_flight = AccountEvent::InFlight {
        process,
        least: 99,
        most: 99,
    };
    account.apply(&in_flight, START.plus_ms(500));
    assert_eq!(take(&mut account, 200, START.plus_ms(9_999)), 0);
    let now = START.plus_ms(10_000);
    assert_eq!(take(&mut account, 200, now), 1);
    let gone = AccountEvent::ProcessGone {
        process: ProcessId::parse("worker-1").unwrap(),
    };
    let mut without_count = account.clone();
    without_count.apply(&gone, now);
    // Another process makes the probe, even if the permit is no longer counted.
    for mut account in [account, without_count] {
        let moved = AccountEvent::Moved {
            from: ProcessId::parse("worker-1").unwrap(),
            to: ProcessId::parse("worker-2").unwrap(),
        };
        assert_eq!(account.apply(&moved, now).granted, 1);
    }
}

#[test]
fn a_limit_that_keeps_calls_waiting_is_not_forgotten() {
    let mut account = Account::default();
    refuse(&mut account, Some(100), START);
    let mut now = START.plus_ms(2_000);
    assert_eq!(take(&mut account, 200, now), 1);
    answer(&mut account, 1, now);
    assert_eq!(take(&mut account, 200, now), 49);
    for _ in 0..1_000 {
        now = now.plus_ms(10_000);
        assert_eq!(take(&mut account, 200, now), 0);
    }
    assert_eq!(account.concurrency(), Some(50));
    answer(&mut account, 1, now.plus_ms(120_000));
    assert_eq!(account.concurrency(), None);
}

#[test]
fn the_limit_ends_a_minute_after_the_last_refusal_if_it_is_not_used() {
    let mut account = Account::default();
    refuse(&mut account, Some(100), START);
    let later = START.plus_ms(2_000);
    assert_eq!(take(&mut account, 1, later), 1);
    answer(&mut account, 1, later);
    assert_eq!(account.concurrency(), Some(50));
    answer(&mut account, 1, START.plus_ms(60_000));
    assert_eq!((account.concurrency(), account.in_flight.len()), (None, 0));
}
