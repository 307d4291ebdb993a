//! Accounts that were lost while jobs waited for them.

use forebay_shared::account::{Account, AccountEvent, ClosedBy, ConfiguredLimits, Phase};

use crate::examples::{at, configured, fail, refuse, take};

fn lose(account: &mut Account, now_ms: u64) {
    account.apply(&AccountEvent::Lost, at(now_ms));
}

#[test]
fn a_lost_account_begins_with_one_call_and_then_doubles_its_rate() {
    let mut account = Account::default();
    lose(&mut account, 0);
    let first = take(&mut account, 500, 0);
    assert_eq!(first.granted, 1);
    let mut granted = vec![0; 12];
    for ms in (0..12_000).step_by(10) {
        granted[ms as usize / 1_000] += take(&mut account, 500, ms).granted;
    }
    assert!(granted[0] <= 30, "{granted:?}");
    assert!(granted[1] <= 60, "{granted:?}");
    let grows = |pair: &[u32]| f64::from(pair[1]) > 1.7 * f64::from(pair[0]);
    assert!(granted[..10].windows(2).all(grows), "{granted:?}");
}

#[test]
fn a_lost_account_is_not_limited_after_a_minute() {
    let mut account = Account::default();
    lose(&mut account, 0);
    take(&mut account, 1, 0);
    take(&mut account, 1, 60);
    assert_eq!(account.phase, Phase::Open);
    assert!(!account.is_forgettable(at(59_999)));
    // The rate kept a call waiting at 60 ms.
    assert!(account.is_forgettable(at(60_060)));
    assert_eq!(take(&mut account, 100_000, 60_060).granted, 100_000);
    assert!(!account.is_limited());
}

#[test]
fn the_first_refusal_after_a_loss_closes_the_account_like_the_very_first_one() {
    for cause in [ClosedBy::RateLimit, ClosedBy::Unavailable] {
        // The call started before the loss, or is the probe, or one of the calls after the probe.
        for refused_ms in [5, 30, 500] {
            let mut account = Account::default();
            lose(&mut account, 0);
            take(&mut account, 1, 10);
            if refused_ms > 100 {
                take(&mut account, 1, 200);
                assert_eq!(account.phase, Phase::Open);
            }
            refuse(&mut account, cause, refused_ms - 5, Some(2_000), refused_ms);
            assert!(matches!(&account.phase, Phase::Closed(closing) if closing.cause == cause));
            assert_eq!(take(&mut account, 9, refused_ms + 1_999).granted, 0);
            assert_eq!(take(&mut account, 9, refused_ms + 2_000).granted, 1);
            if cause == ClosedBy::RateLimit {
                let mut never_lost = Account::default();
                refuse(
                    &mut never_lost,
                    cause,
                    refused_ms - 5,
                    Some(2_000),
                    refused_ms,
                );
                take(&mut never_lost, 9, refused_ms + 1_999);
                take(&mut never_lost, 9, refused_ms + 2_000);
                assert_eq!(account, never_lost);
            }
        }
    }
}

#[test]
fn a_late_refusal_does_not_open_an_account_that_closed_after_the_loss() {
    for cause in [ClosedBy::RateLimit, ClosedBy::Unavailable] {
        let mut account = Account::default();
        lose(&mut account, 0);
        take(&mut account, 1, 0);
        take(&mut account, 3, 200);
        for job in 0..3 {
            fail(&mut account, job, 400);
        }
        let closed = account.phase.clone();
        assert!(matches!(closed, Phase::Closed(_)));
        refuse(&mut account, cause, 300, None, 401);
        assert_eq!(account.phase, closed);
    }
}

#[test]
fn an_account_that_another_process_has_written_is_not_lost() {
    let mut closed = Account::default();
    refuse(&mut closed, ClosedBy::RateLimit, 0, Some(60_000), 0);
    let mut limited = Account::default();
    let limits = ConfiguredLimits {
        concurrency: Some(1_000),
        ..ConfiguredLimits::default()
    };
    limited.apply(&configured(limits), at(0));
    for account in [closed, limited] {
        let mut after = account.clone();
        lose(&mut after, 10);
        assert_eq!(after, account);
    }
}
