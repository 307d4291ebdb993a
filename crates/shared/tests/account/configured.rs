//! Limits of the configuration and reported limits, and what calls use of them.

use forebay_shared::{
    account::{
        Account, AccountEvent, ClosedBy, ConfiguredLimits, Phase, Refusal, ReportedLimit,
        ReportedLimits,
    },
    ids::ProcessId,
    job::JobError,
};

use crate::examples::{at, configured, refuse, take};

fn limits(requests_per_minute: Option<u32>, tokens_per_minute: Option<u32>) -> ConfiguredLimits {
    ConfiguredLimits {
        requests_per_minute,
        tokens_per_minute,
        concurrency: None,
    }
}

fn account(limits: ConfiguredLimits) -> Account {
    let mut account = Account::default();
    account.apply(&configured(limits), at(0));
    account
}

fn answer(account: &mut Account, calls: usize, replies: u32, tokens: u64, now_ms: u64) {
    let answered = AccountEvent::Answered {
        started_at: vec![at(now_ms); calls],
        replies,
        tokens,
        limits: None,
    };
    account.apply(&answered, at(now_ms));
}

fn end_unanswered(account: &mut Account, calls: u32, taken_ms: u64, now_ms: u64) {
    let ended = AccountEvent::EndedUnanswered {
        process: ProcessId::parse("worker-1").unwrap(),
        calls,
        taken_at: at(taken_ms),
    };
    account.apply(&ended, at(now_ms));
}

#[test]
fn before_the_first_reply_a_call_is_assumed_to_use_1_000_tokens() {
    let mut account = account(limits(None, Some(600_000)));
    // 10,000 tokens a second, with a burst of a second.
    assert_eq!(take(&mut account, 500, 0).granted, 10);
    assert_eq!(take(&mut account, 500, 0).granted, 0);
    assert_eq!(take(&mut account, 500, 1_000).granted, 10);
}

#[test]
fn calls_without_a_reply_do_not_change_the_mean_tokens_of_a_call() {
    let mut account = account(limits(None, Some(600_000)));
    take(&mut account, 1, 0);
    answer(&mut account, 1, 1, 5_000, 100);
    for now_ms in 0..50 {
        answer(&mut account, 100, 0, 0, 10_000 + now_ms);
    }
    assert_eq!(take(&mut account, 500, 20_000).granted, 2);
}

#[test]
fn a_call_that_ends_without_an_answer_uses_its_permit() {
    let mut account = account(limits(Some(60), None));
    assert_eq!(take(&mut account, 5, 0).granted, 1);
    end_unanswered(&mut account, 1, 0, 100);
    assert_eq!(take(&mut account, 5, 100).granted, 0);
    assert_eq!(take(&mut account, 5, 1_000).granted, 1);
}

#[test]
fn a_probe_that_was_dropped_lets_the_next_one_start_at_once() {
    let mut account = Account::default();
    refuse(&mut account, ClosedBy::Unavailable, 0, Some(1_000), 0);
    assert_eq!(take(&mut account, 5, 1_000).granted, 1);
    assert_eq!(take(&mut account, 5, 1_100).granted, 0);
    end_unanswered(&mut account, 0, 1_000, 1_200);
    assert_eq!(take(&mut account, 5, 1_200).granted, 1);
}

#[test]
fn a_change_of_one_limit_keeps_what_is_used_of_the_others() {
    let mut account = account(limits(Some(60), Some(60_000)));
    assert_eq!(take(&mut account, 5, 0).granted, 1);
    answer(&mut account, 1, 1, 31_000, 100);
    account.apply(&configured(limits(Some(6_000), Some(60_000))), at(200));
    // 30,000 tokens too many were used.
    assert_eq!(take(&mut account, 5, 20_000).granted, 0);
    assert_eq!(take(&mut account, 5, 31_000).granted, 1);
}

#[test]
fn the_reset_of_a_limit_that_is_not_used_up_does_not_shorten_the_pause() {
    for (remaining, is_long_pause) in [(9_999, true), (0, false)] {
        let mut account = Account::default();
        let requests = Some(ReportedLimit {
            limit: 10_000,
            remaining,
            reset_ms: 6,
        });
        let refusal = Refusal {
            cause: ClosedBy::RateLimit,
            taken_at: at(0),
            overload_calls: None,
            retry_after_ms: None,
            limits: Some(ReportedLimits {
                requests,
                tokens: None,
            }),
            error: JobError::new("rate_limited", "slow down"),
            random: 1.0,
        };
        account.apply(&AccountEvent::Refused(refusal), at(10));
        let Phase::Closed(closing) = &account.phase else {
            panic!("{:?}", account.phase);
        };
        assert_eq!(closing.until > at(100), is_long_pause, "{closing:?}");
    }
}

#[test]
fn a_report_of_many_remaining_calls_ends_a_reported_rate_that_is_far_too_low() {
    let report = |remaining, reset_ms| ReportedLimits {
        requests: Some(ReportedLimit {
            limit: 600,
            remaining,
            reset_ms,
        }),
        tokens: None,
    };
    let mut account = Account::default();
    let answered = |limits| AccountEvent::Answered {
        started_at: Vec::new(),
        replies: 0,
        tokens: 0,
        limits: Some(limits),
    };
    account.apply(&answered(report(0, 3_600_000)), at(0));
    let rate = account.known_calls_per_second(at(0)).expect("a rate");
    assert!(rate < 0.2, "{rate}");
    account.apply(&answered(report(599, 100)), at(10));
    assert_eq!(account.known_calls_per_second(at(10)), None);
    assert!(
        account
            .calls_per_second(at(10))
            .is_none_or(|rate| rate >= 16.0)
    );
}

#[test]
fn answers_from_before_the_first_refusal_give_no_tokens_back() {
    let mut account = account(limits(None, Some(60_000)));
    take(&mut account, 1, 0);
    answer(&mut account, 1, 1, 5_000, 100);
    assert_eq!(take(&mut account, 5, 200).granted, 0);
    let earlier = AccountEvent::AnsweredEarlier {
        started_at: vec![at(0); 256],
    };
    account.apply(&earlier, at(200));
    assert_eq!(take(&mut account, 5, 200).granted, 0);
}
