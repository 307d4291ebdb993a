//! Examples of single rules.

use forebay_shared::{
    account::{
        Account, AccountEvent, ClosedBy, ConfiguredBy, ConfiguredLimits, Decision, FORGET_MS,
        PROBE_MS_MAX, Phase, PhaseChange, Refusal,
    },
    document,
    ids::{JobId, ProcessId, TenantId},
    job::JobError,
    time::TimeMs,
};
use serde_json::{Value, json};

const START: TimeMs = TimeMs(1_764_000_000_000);

pub(crate) fn at(ms: u64) -> TimeMs {
    START.plus_ms(ms)
}

fn process() -> ProcessId {
    ProcessId::parse("worker-1").unwrap()
}

/// The limits of a configuration, set by a process that starts at `ms`.
fn configured_at(limits: ConfiguredLimits, name: &str, ms: u64) -> AccountEvent {
    let process = ProcessId::parse(name).unwrap();
    let started_at = at(ms);
    let by = ConfiguredBy {
        started_at,
        process,
    };
    AccountEvent::Configured { limits, by }
}

pub(crate) fn configured(limits: ConfiguredLimits) -> AccountEvent {
    configured_at(limits, "worker-1", 0)
}

pub(crate) fn take(account: &mut Account, calls: u32, now_ms: u64) -> Decision {
    let process = process();
    account.apply(
        &AccountEvent::Take {
            calls,
            process,
            more_wait: false,
        },
        at(now_ms),
    )
}

pub(crate) fn refuse(
    account: &mut Account,
    cause: ClosedBy,
    started_ms: u64,
    retry_after_ms: Option<u64>,
    now_ms: u64,
) -> Decision {
    let refusal = Refusal {
        cause,
        taken_at: at(started_ms),
        overload_calls: None,
        retry_after_ms,
        limits: None,
        error: JobError::new("rate_limited", "slow down"),
        random: 1.0,
    };
    account.apply(&AccountEvent::Refused(refusal), at(now_ms))
}

fn answer(account: &mut Account, started_ms: u64, now_ms: u64) -> Decision {
    let event = AccountEvent::Answered {
        started_at: vec![at(started_ms)],
        replies: 1,
        tokens: 0,
        limits: None,
    };
    account.apply(&event, at(now_ms))
}

fn do_not_use(account: &mut Account, calls: u32, taken_ms: u64, now_ms: u64) {
    let event = AccountEvent::NotUsed {
        process: process(),
        calls,
        taken_at: at(taken_ms),
    };
    account.apply(&event, at(now_ms));
}

pub(crate) fn fail(account: &mut Account, job: u128, now_ms: u64) -> Decision {
    let event = AccountEvent::ServerError {
        job: JobId::from_uuid(uuid::Uuid::from_u128(job), &TenantId::default(), None),
        taken_at: at(now_ms - 1),
        error: JobError::new("provider_error", "it failed"),
        random: 1.0,
    };
    account.apply(&event, at(now_ms))
}

#[test]
fn an_outage_ends_with_one_answered_probe() {
    let mut account = Account::default();
    let closed = refuse(&mut account, ClosedBy::Unavailable, 0, None, 10);
    assert!(closed.spares_try);
    assert_eq!(closed.phase_change, Some(PhaseChange::Closed));
    // With the highest jitter, the first pause is 500 ms.
    assert_eq!(take(&mut account, 5, 100).retry_in_ms, Some(410));
    assert_eq!(take(&mut account, 5, 510).granted, 1);
    assert_eq!(take(&mut account, 5, 511).granted, 0);
    // The next pause is twice as long.
    refuse(&mut account, ClosedBy::Unavailable, 510, None, 520);
    assert_eq!(take(&mut account, 5, 1_519).granted, 0);
    assert_eq!(take(&mut account, 5, 1_520).granted, 1);
    assert_eq!(
        answer(&mut account, 1_520, 1_600).phase_change,
        Some(PhaseChange::Opened)
    );
    assert_eq!(take(&mut account, 5_000, 1_600).granted, 5_000);
    assert!(!account.is_limited());
}

#[test]
fn a_probe_without_an_answer_is_followed_by_another() {
    let mut account = Account::default();
    refuse(&mut account, ClosedBy::Unavailable, 0, Some(1_000), 0);
    assert_eq!(take(&mut account, 1, 1_000).granted, 1);
    assert_eq!(take(&mut account, 1, 999 + PROBE_MS_MAX).granted, 0);
    assert_eq!(take(&mut account, 1, 1_000 + PROBE_MS_MAX).granted, 1);
}

#[test]
fn slow_refusals_make_the_pauses_longer_until_an_answer() {
    let mut account = Account::default();
    // The refusal takes 300 ms. So the account waits that long for the refusal of the probe.
    refuse(&mut account, ClosedBy::RateLimit, 0, None, 300);
    assert_eq!(take(&mut account, 5, 800).granted, 1);
    assert_eq!(take(&mut account, 5, 1_099).granted, 0);
    refuse(&mut account, ClosedBy::RateLimit, 800, None, 1_100);
    assert_eq!(take(&mut account, 5, 2_099).granted, 0);
    assert_eq!(take(&mut account, 5, 2_100).granted, 1);
    // The account opens without an answer, and a refusal arrives later. So the pause doubles again.
    assert!(take(&mut account, 5, 2_400).granted > 0);
    assert_eq!(account.phase, Phase::Open);
    refuse(&mut account, ClosedBy::RateLimit, 2_100, None, 2_600);
    assert_eq!(take(&mut account, 5, 4_599).granted, 0);
    assert_eq!(take(&mut account, 5, 4_600).granted, 1);
    answer(&mut account, 4_600, 4_700);
    assert_eq!(account.phase, Phase::Open);
    refuse(&mut account, ClosedBy::RateLimit, 4_710, None, 4_800);
    assert!(matches!(&account.phase, Phase::Closed(closing) if closing.until <= at(5_300)));
}

#[test]
fn the_refusal_of_an_old_call_closes_nothing() {
    let mut account = Account::default();
    refuse(&mut account, ClosedBy::Unavailable, 0, Some(1_000), 10);
    take(&mut account, 1, 1_010);
    answer(&mut account, 1_010, 1_100);
    assert!(refuse(&mut account, ClosedBy::Unavailable, 5, Some(9_000), 1_200).spares_try);
    assert_eq!(account.phase, Phase::Open);
}

#[test]
fn an_old_answer_ends_no_outage() {
    let mut account = Account::default();
    refuse(&mut account, ClosedBy::Unavailable, 0, Some(1_000), 10);
    take(&mut account, 1, 1_010);
    answer(&mut account, 5, 1_020);
    assert!(matches!(account.phase, Phase::Probing(_)));
}

#[test]
fn three_jobs_with_server_errors_close_the_account() {
    let mut account = Account::default();
    for now_ms in [10, 20, 30, 40] {
        assert!(
            !fail(&mut account, 1, now_ms).spares_try,
            "one job alone closed the account"
        );
    }
    assert!(!fail(&mut account, 2, 50).spares_try);
    assert!(fail(&mut account, 3, 60).spares_try);
    assert!(
        matches!(&account.phase, Phase::Closed(closing) if closing.cause == ClosedBy::Unavailable)
    );
    // The probe spends a try if its job failed before, and no try if another job makes it.
    take(&mut account, 1, 1_000);
    assert!(!fail(&mut account, 1, 1_010).spares_try);
    take(&mut account, 1, 10_000);
    assert!(fail(&mut account, 4, 10_010).spares_try);
}

#[test]
fn an_answer_between_server_errors_keeps_the_account_open() {
    let mut account = Account::default();
    fail(&mut account, 1, 10);
    fail(&mut account, 2, 20);
    answer(&mut account, 5, 25);
    assert!(!fail(&mut account, 3, 30).spares_try);
    assert_eq!(account.phase, Phase::Open);
}

#[test]
fn the_calls_in_flight_are_counted_by_process() {
    let mut account = Account::default();
    let limits = ConfiguredLimits {
        concurrency: Some(3),
        ..ConfiguredLimits::default()
    };
    account.apply(&configured(limits), START);
    let decision = take(&mut account, 5, 0);
    assert_eq!((decision.granted, decision.retry_in_ms), (3, None));
    let process = process();
    account.apply(
        &AccountEvent::Ended {
            process: process.clone(),
            calls: 2,
        },
        at(10),
    );
    assert_eq!(take(&mut account, 5, 10).granted, 2);
    account.apply(&AccountEvent::ProcessGone { process }, at(20));
    assert_eq!(take(&mut account, 5, 20).granted, 3);
}

#[test]
fn the_tokens_of_earlier_calls_limit_later_calls() {
    let mut account = Account::default();
    let limits = ConfiguredLimits {
        tokens_per_minute: Some(60_000),
        ..ConfiguredLimits::default()
    };
    account.apply(&configured(limits), START);
    assert_eq!(take(&mut account, 1, 0).granted, 1);
    let answered = AccountEvent::Answered {
        started_at: vec![START],
        replies: 1,
        tokens: 3_000,
        limits: None,
    };
    account.apply(&answered, at(100));
    // The level is about -2,000 tokens now, and rises by 1,000 a second.
    let decision = take(&mut account, 5, 100);
    assert_eq!(decision.granted, 0);
    assert!((1_900..=2_100).contains(&decision.retry_in_ms.unwrap()));
    assert_eq!(take(&mut account, 5, 2_200).granted, 1);
}

#[test]
fn an_account_is_forgotten_after_ten_minutes_without_a_refusal() {
    let mut account = Account::default();
    refuse(&mut account, ClosedBy::RateLimit, 0, Some(1_000), 0);
    take(&mut account, 1, 1_000);
    take(&mut account, 1, 2_000);
    assert!(account.is_limited());
    assert!(!account.is_forgettable(at(FORGET_MS - 1)));
    assert!(account.is_forgettable(at(FORGET_MS)));
    assert_eq!(take(&mut account, 10_000, FORGET_MS).granted, 10_000);
}

#[test]
fn two_accounts_do_not_influence_each_other() {
    let (mut one, mut other) = (Account::default(), Account::default());
    refuse(&mut one, ClosedBy::RateLimit, 0, None, 0);
    assert_eq!(take(&mut one, 1, 10).granted, 0);
    assert_eq!(take(&mut other, 1, 10).granted, 1);
}

#[test]
fn permits_that_are_not_used_are_given_back() {
    let mut account = Account::default();
    let limits = ConfiguredLimits {
        requests_per_minute: Some(60),
        ..ConfiguredLimits::default()
    };
    account.apply(&configured(limits), START);
    assert_eq!(take(&mut account, 5, 0).granted, 1);
    assert_eq!(take(&mut account, 5, 100).granted, 0);
    do_not_use(&mut account, 1, 0, 100);
    assert_eq!(take(&mut account, 5, 100).granted, 1);
    // The level never exceeds the burst.
    do_not_use(&mut account, 1, 100, 5_000);
    assert_eq!(take(&mut account, 5, 5_000).granted, 1);
}

#[test]
fn the_tokens_of_permits_that_are_not_used_are_given_back() {
    let mut account = Account::default();
    let limits = ConfiguredLimits {
        tokens_per_minute: Some(60_000),
        ..ConfiguredLimits::default()
    };
    account.apply(&configured(limits), START);
    take(&mut account, 1, 0);
    let answered = AccountEvent::Answered {
        started_at: vec![START],
        replies: 1,
        tokens: 500,
        limits: None,
    };
    account.apply(&answered, at(0));
    // Half of the burst of 1,000 tokens is left: one call of the mean size.
    assert_eq!(take(&mut account, 5, 0).granted, 1);
    assert_eq!(take(&mut account, 5, 0).granted, 0);
    do_not_use(&mut account, 1, 0, 0);
    assert_eq!(take(&mut account, 5, 0).granted, 1);
}

#[test]
fn calls_that_were_never_made_do_not_raise_the_measured_rate() {
    let rate = |not_used: u32| {
        let mut account = Account::default();
        refuse(&mut account, ClosedBy::RateLimit, 0, Some(1_000), 0);
        take(&mut account, 1, 1_000);
        answer(&mut account, 1_000, 1_050);
        let mut granted = 0;
        for now_ms in (1_100..=3_000).step_by(50) {
            granted += take(&mut account, 100, now_ms).granted;
        }
        assert!(granted > 50);
        if not_used > 0 {
            do_not_use(&mut account, not_used, 3_000, 3_005);
        }
        refuse(&mut account, ClosedBy::RateLimit, 3_000, Some(1_000), 3_010);
        take(&mut account, 1, 4_010);
        account.known_calls_per_second(at(4_010)).unwrap()
    };
    // The window lasts 3 s.
    let difference = rate(0) - rate(30);
    assert!((9.0..=11.0).contains(&difference), "{difference}");
}

#[test]
fn unknown_fields_are_kept_and_newer_versions_are_refused() {
    let mut account = Account::default();
    refuse(&mut account, ClosedBy::RateLimit, 0, None, 0);
    let mut json = serde_json::to_value(&account).unwrap();
    json["new"] = json!({"deep": 1});
    let mut read: Account = document::read(json.to_string().as_bytes()).unwrap();
    take(&mut read, 1, 10_000);
    assert_eq!(
        serde_json::to_value(&read).unwrap()["new"],
        json!({"deep": 1})
    );
    json["v"] = Value::from(2);
    let error = document::read::<Account>(json.to_string().as_bytes()).unwrap_err();
    assert!(matches!(error, document::ReadError::Newer(_)));
}

#[test]
fn the_limits_of_the_process_that_started_last_hold_while_it_is_alive() {
    let limits = |concurrency| ConfiguredLimits {
        concurrency,
        ..ConfiguredLimits::default()
    };
    let mut account = Account::default();
    let mut configure = |concurrency, name: &str, started_ms| {
        account.apply(&configured_at(limits(concurrency), name, started_ms), at(9));
        account.configured.concurrency
    };
    assert_eq!(configure(Some(1), "a", 1), Some(1));
    assert_eq!(configure(Some(2), "b", 2), Some(2));
    assert_eq!(configure(Some(1), "a", 1), Some(2));
    // Two that started at the same time are ordered by their names.
    assert_eq!(configure(Some(1), "a", 2), Some(2));
    assert_eq!(configure(None, "c", 3), None);
    assert_eq!(configure(Some(2), "b", 2), None);
    assert!(!account.is_forgettable(at(FORGET_MS)));
    for (name, is_forgettable) in [("b", false), ("c", true)] {
        let process = ProcessId::parse(name).unwrap();
        account.apply(&AccountEvent::ProcessGone { process }, at(9));
        assert_eq!(account.is_forgettable(at(FORGET_MS)), is_forgettable);
    }
    account.apply(&configured_at(limits(Some(1)), "a", 1), at(9));
    assert_eq!(account.configured, limits(Some(1)));
}
