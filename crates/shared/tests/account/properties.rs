//! Properties that hold after any sequence of events. A failing sequence is shrunk and printed with its seed.

use forebay_shared::{
    account::{
        Account, AccountEvent, ClosedBy, ConfiguredBy, ConfiguredLimits, DELAY_MS_MAX, Phase,
        Refusal, ReportedLimit, ReportedLimits, configured_burst,
    },
    ids::{JobId, ProcessId, TenantId},
    job::JobError,
    time::TimeMs,
};
use proptest::{collection::vec, option, prelude::*};

const EPOCH_MS: u64 = 1_764_000_000_000;

/// The time since the previous event, in milliseconds, and an event.
type Step = (u64, AccountEvent);

fn process(n: u8) -> ProcessId {
    ProcessId::parse(&format!("worker-{n}")).unwrap()
}

fn job(n: u128) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(n), &TenantId::default(), None)
}

/// The start of a call up to 20 s ago, as [`EPOCH_MS`] plus its age. [`move_starts`] computes the start from it.
fn started_at() -> impl Strategy<Value = TimeMs> {
    (0..20_000_u64).prop_map(|ago_ms| TimeMs(EPOCH_MS + ago_ms))
}

fn report() -> impl Strategy<Value = ReportedLimit> {
    (1..10_000_u64, any::<u64>(), 0..=DELAY_MS_MAX).prop_map(|(limit, remaining, reset_ms)| {
        ReportedLimit {
            limit,
            remaining: remaining % (limit + 1),
            reset_ms,
        }
    })
}

fn reports() -> impl Strategy<Value = Option<ReportedLimits>> {
    option::of(
        (option::of(report()), option::of(report()))
            .prop_map(|(requests, tokens)| ReportedLimits { requests, tokens }),
    )
}

fn refusal() -> impl Strategy<Value = AccountEvent> {
    let cause = prop_oneof![Just(ClosedBy::RateLimit), Just(ClosedBy::Unavailable)];
    let retry_after_ms = option::of(prop_oneof![0..5_000_u64, any::<u64>()]);
    let calls = option::of(1..300_u32);
    (
        cause,
        started_at(),
        calls,
        retry_after_ms,
        reports(),
        0.0..=1.0,
    )
        .prop_map(
            |(cause, started_at, calls, retry_after_ms, limits, random)| {
                let is_overload = cause == ClosedBy::Unavailable;
                let error = JobError::new("rate_limited", "slow down")
                    .with_detail(Some("secret".to_owned()));
                AccountEvent::Refused(Refusal {
                    cause,
                    taken_at: started_at,
                    overload_calls: calls.filter(|_| is_overload),
                    retry_after_ms,
                    limits,
                    error,
                    random,
                })
            },
        )
}

fn event() -> impl Strategy<Value = AccountEvent> {
    prop_oneof![
        6 => (1..200_u32, 0..3_u8, any::<bool>()).prop_map(|(calls, n, more_wait)| AccountEvent::Take { calls, process: process(n), more_wait }),
        2 => refusal(),
        1 => Just(AccountEvent::Lost),
        1 => (limits(), 0..3_u8).prop_map(|(limits, n)| configured(limits, n)),
        1 => (0..6_u128, started_at(), 0.0..=1.0).prop_map(|(n, started_at, random)| AccountEvent::ServerError {
            job: job(n),
            taken_at: started_at,
            error: JobError::new("provider_error", "it failed"),
            random,
        }),
        2 => (vec(started_at(), 0..5), 0..5_u32, 0..100_000_u64, reports()).prop_map(|(started_at, replies, tokens, limits)| AccountEvent::Answered { started_at, replies, tokens, limits }),
        1 => vec(started_at(), 0..5).prop_map(|started_at| AccountEvent::AnsweredEarlier { started_at }),
        1 => (0..3_u8, 0..50_u32).prop_map(|(n, calls)| AccountEvent::Ended { process: process(n), calls }),
        1 => (0..3_u8, 0..50_u32, 0..5_u32).prop_map(|(n, least, more)| AccountEvent::InFlight { process: process(n), least, most: least + more }),
        1 => (0..3_u8, 1..3_u32, started_at()).prop_map(|(n, calls, taken_at)| AccountEvent::NotUsed { process: process(n), calls, taken_at }),
        1 => (0..3_u8, 1..3_u32, started_at()).prop_map(|(n, calls, taken_at)| AccountEvent::EndedUnanswered { process: process(n), calls, taken_at }),
        1 => (0..3_u8, 0..3_u8).prop_map(|(from, to)| AccountEvent::Moved { from: process(from), to: process(to) }),
        1 => (0..3_u8).prop_map(|n| AccountEvent::ProcessGone { process: process(n) }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait_ms = prop_oneof![0..300_u64, 0..20_000_u64, 0..1_000_000_u64];
    vec((wait_ms, event()), 1..80)
}

fn limits() -> impl Strategy<Value = ConfiguredLimits> {
    (
        option::of(1..100_000_u32),
        option::of(1..1_000_000_u32),
        option::of(1..500_u32),
    )
        .prop_map(
            |(requests_per_minute, tokens_per_minute, concurrency)| ConfiguredLimits {
                requests_per_minute,
                tokens_per_minute,
                concurrency,
            },
        )
}

/// A configuration that a process sets. Process 9 starts last.
fn configured(limits: ConfiguredLimits, n: u8) -> AccountEvent {
    let by = ConfiguredBy {
        started_at: TimeMs(EPOCH_MS + u64::from(n)),
        process: process(n),
    };
    AccountEvent::Configured { limits, by }
}

fn take(calls: u32) -> AccountEvent {
    AccountEvent::Take {
        calls,
        process: process(0),
        more_wait: false,
    }
}

/// Replaces the age of each call of an event by its start. No call starts before [`EPOCH_MS`].
fn move_starts(event: &mut AccountEvent, now: TimeMs) {
    let before = |at: TimeMs| TimeMs(now.0 - (at.0 - EPOCH_MS).min(now.0 - EPOCH_MS));
    match event {
        AccountEvent::Refused(refusal) => refusal.taken_at = before(refusal.taken_at),
        AccountEvent::ServerError { taken_at, .. } => *taken_at = before(*taken_at),
        AccountEvent::Answered { started_at, .. }
        | AccountEvent::AnsweredEarlier { started_at } => {
            for at in started_at {
                *at = before(*at);
            }
        }
        AccountEvent::NotUsed { taken_at, .. } | AccountEvent::EndedUnanswered { taken_at, .. } => {
            *taken_at = before(*taken_at);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_property_holds_after_any_sequence_of_events(limits in limits(), steps in steps()) {
        let mut account = Account::default();
        let mut now = TimeMs(EPOCH_MS);
        account.apply(&configured(limits, 9), now);
        // The granted permits with their times. Permits that are not used are below 0.
        let mut permits: Vec<(TimeMs, i64)> = Vec::new();
        for (wait_ms, mut event) in steps {
            now = now.plus_ms(wait_ms);
            if limits.is_empty() && matches!(event, AccountEvent::Configured { .. }) {
                // The account has no limits, so it has not recorded process 9. The limits of an older process would apply.
                continue;
            }
            move_starts(&mut event, now);
            let before = account.clone();
            let decision = account.apply(&event, now);
            prop_assert_eq!(account.configured, limits, "limits of an older process");

            if let AccountEvent::Take { calls, .. } = event {
                prop_assert!(decision.granted <= calls);
                permits.push((now, i64::from(decision.granted)));
                match &before.phase {
                    Phase::Closed(closing) | Phase::Probing(closing) if now < closing.until => {
                        prop_assert_eq!(decision.granted, 0, "a permit of a closed account");
                        prop_assert!(decision.retry_in_ms.is_some());
                    }
                    Phase::Closed(closing) | Phase::Probing(closing) if closing.cause == ClosedBy::Unavailable => {
                        prop_assert!(decision.granted <= 1, "more than one probe");
                    }
                    _ => {}
                }
                if matches!(account.phase, Phase::Probing(_)) {
                    prop_assert!(decision.granted <= 1, "more than one probe");
                }
                // A probe may start although calls from before an overload are in flight.
                if let (Some(concurrency), 1.., Phase::Open) = (account.concurrency(), decision.granted, &account.phase) {
                    let in_flight: u32 = account.in_flight.values().sum();
                    prop_assert!(in_flight <= concurrency, "{in_flight} calls in flight instead of {concurrency}");
                }
                if let Some(ms) = decision.retry_in_ms {
                    prop_assert!((1..=DELAY_MS_MAX).contains(&ms));
                    prop_assert!(decision.granted < calls);
                }
            } else if let AccountEvent::Moved { .. } = event {
                prop_assert!(decision.granted <= 1);
                let in_flight = |account: &Account| account.in_flight.values().sum::<u32>();
                let most = match before.phase {
                    Phase::Open => account.concurrency().unwrap_or(0),
                    // As for the permit of a probe, the limit after an overload does not count.
                    _ => limits.concurrency.unwrap_or(u32::MAX),
                };
                let most = in_flight(&before).max(most);
                prop_assert!(in_flight(&account) <= most, "a permit that no longer counts exceeds the limit");
            } else {
                prop_assert_eq!(decision.granted, 0);
            }
            if let AccountEvent::NotUsed { calls, .. } = event {
                permits.push((now, -i64::from(calls)));
            }
            if let (AccountEvent::Refused(refusal), Phase::Closed(closing)) = (&event, &account.phase) {
                let delay_ms = refusal.retry_after_ms.unwrap_or(0).min(DELAY_MS_MAX);
                prop_assert!(delay_ms == 0 || closing.until >= now.plus_ms(delay_ms), "Retry-After is not obeyed");
            }
            if let Phase::Closed(closing) | Phase::Probing(closing) = &account.phase {
                prop_assert!(closing.error.detail.is_none());
                prop_assert!(closing.until.since_ms(now) <= DELAY_MS_MAX);
            }

            // A document that is written and read is the same.
            let json = serde_json::to_vec(&account).unwrap();
            prop_assert!(json.len() < 20_000, "the document has {} bytes", json.len());
            let read: Account = forebay_shared::document::read(&json).unwrap();
            prop_assert_eq!(&read, &account);

            // Unless the concurrency limits calls, a job gets a permit after a few waits of `retry_in_ms`.
            let mut later = account.clone();
            later.in_flight.clear();
            let mut at = now;
            let mut waits = 0;
            while let (0, wait) = { let d = later.apply(&take(1), at); (d.granted, d.retry_in_ms) } {
                at = at.plus_ms(wait.expect("only a limit on calls in flight gives no time"));
                waits += 1;
                prop_assert!(waits < 10, "a job waits although a call may start: {:?}", later);
            }
        }
        if let Some(per_minute) = limits.requests_per_minute {
            let rate = f64::from(per_minute) / 60.0;
            for (i, (from, _)) in permits.iter().enumerate() {
                let mut sum = 0;
                for (at, granted) in &permits[i..] {
                    sum += granted;
                    let allowed = rate * at.since_ms(*from) as f64 / 1_000.0 + configured_burst(rate);
                    prop_assert!(sum as f64 <= allowed + 1e-6, "{sum} calls instead of {allowed}");
                }
            }
        }
    }

    #[test]
    fn an_account_that_was_never_limited_gives_every_permit_and_does_not_change(takes in vec((0..1_000_000_u64, 0..1_000_u32), 1..50)) {
        let mut account = Account::default();
        let mut now = TimeMs(EPOCH_MS);
        for (wait_ms, calls) in takes {
            now = now.plus_ms(wait_ms);
            let decision = account.apply(&take(calls), now);
            prop_assert_eq!(decision.granted, calls);
            prop_assert_eq!(&account, &Account::default());
            prop_assert!(!account.is_limited());
            prop_assert!(account.is_forgettable(now));
        }
    }
}
