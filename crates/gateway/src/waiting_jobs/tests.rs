//! Tests of the jobs that are counted for an account, and of the advised wait.

use std::time::{Duration, Instant};

use forebay_shared::{
    account::{
        Account, AccountEvent, AccountKey, ClosedBy, ConfiguredBy, ConfiguredLimits, Refusal,
    },
    class::Class,
    ids::ProcessId,
    job::JobError,
    store::{ACCOUNTS_MAX, Counts, DeferredCount},
    time::TimeMs,
};

use super::{AccountFull, WaitingJobs, expected_wait_ms};

const NOW: TimeMs = TimeMs(1_000_000);
const MS: Duration = Duration::from_millis(1);
/// The limit of the backlog. One account may take half of it: 50 jobs.
const BACKLOG_MAX: u64 = 100;
/// The account of the admitted job is limited.
const LIMITED: bool = true;
/// The account of the admitted job is not limited, as far as this process knows.
const UNLIMITED: bool = false;

fn busy() -> AccountKey {
    AccountKey::of_provider("busy")
}

fn counts(waiting: &[(&AccountKey, Class, u64)]) -> Counts {
    let deferred = waiting.iter().map(|(account, class, jobs)| DeferredCount {
        account: (*account).clone(),
        class: *class,
        heads: 1,
        jobs: *jobs,
    });
    Counts {
        deferred: deferred.collect(),
        ..Counts::default()
    }
}

/// The state after a sample in which this many jobs wait for the account.
fn sampled(account: &AccountKey, jobs: u64) -> WaitingJobs {
    let mut waiting = WaitingJobs::default();
    waiting.replace_sample(&counts(&[(account, Class::Batch, jobs)]), |_| true);
    waiting
}

/// Admits a job for the account. The commit ends at `now`.
fn admit(
    waiting: &mut WaitingJobs,
    account: &AccountKey,
    is_limited: bool,
    now: Instant,
) -> Result<(), AccountFull> {
    let reserved = waiting.reserve(vec![account.clone()], BACKLOG_MAX, |_| is_limited)?;
    waiting.commit_ended(&reserved, now);
    Ok(())
}

#[test]
fn the_jobs_of_models_wait_for_their_provider_only_while_it_is_limited() {
    let model = AccountKey::of_model("busy", "large");
    let counts = counts(&[(&model, Class::Batch, 50)]);
    let accounts = || vec![busy(), AccountKey::of_model("busy", "small")];
    let mut jobs = WaitingJobs::default();
    jobs.replace_sample(&counts, |_| false);
    assert!(jobs.reserve(accounts(), BACKLOG_MAX, |_| false).is_ok());
    jobs.replace_sample(&counts, |key| *key == busy());
    let full = jobs.reserve(accounts(), BACKLOG_MAX, |key| *key == busy());
    assert_eq!(full.expect_err("50 jobs wait").account, busy());
}

#[test]
fn the_jobs_of_an_account_may_take_half_of_the_backlog() {
    let other = AccountKey::of_provider("other");
    let accounts = || vec![other.clone(), busy()];
    let counts = counts(&[
        (&busy(), Class::Interactive, 30),
        (&busy(), Class::Batch, 18),
    ]);
    let mut jobs = WaitingJobs::default();
    jobs.replace_sample(&counts, |_| false);
    let mut reserve = |accounts| jobs.reserve(accounts, BACKLOG_MAX, |_| false);
    assert_eq!(reserve(accounts()), Ok(vec![busy()]));
    assert_eq!(reserve(accounts()), Ok(vec![busy()]));
    let full = reserve(accounts()).expect_err("50 jobs wait");
    assert_eq!((full.account, full.jobs_max, full.excess), (busy(), 50, 6));
    assert_eq!(reserve(vec![other.clone()]), Ok(vec![]));
    let beyond = sampled(&busy(), 70).reserve(vec![busy()], BACKLOG_MAX, |_| false);
    assert_eq!(beyond.expect_err("70 jobs wait").excess, 26);
}

#[test]
fn with_a_backlog_of_one_job_one_job_may_wait() {
    let reserve = |mut jobs: WaitingJobs| jobs.reserve(vec![busy()], 1, |_| false);
    assert!(reserve(sampled(&busy(), 0)).is_ok());
    assert!(reserve(sampled(&busy(), 1)).is_err());
}

#[test]
fn jobs_that_are_later_than_a_new_sample_stay_counted() {
    let start = Instant::now();
    let mut jobs = sampled(&busy(), 40);
    for at in [100, 200, 300, 900, 900, 900] {
        assert_eq!(admit(&mut jobs, &busy(), LIMITED, start + at * MS), Ok(()));
    }
    let in_progress = jobs.reserve(vec![busy()], BACKLOG_MAX, |_| true).unwrap();
    // Another process made this sample at 500 ms. So it has the first three jobs, of which one has ended.
    let old = counts(&[(&busy(), Class::Batch, 42)]);
    for _ in 0..2 {
        jobs.replace_sample(&old, |_| true);
        jobs.remove_until(start + 500 * MS);
        assert_eq!(jobs.waiting_for(&busy()), 46);
    }
    jobs.release(&in_progress);
    for waiting in 45..50 {
        assert_eq!(jobs.waiting_for(&busy()), waiting);
        assert_eq!(
            admit(&mut jobs, &busy(), LIMITED, start + 1_000 * MS),
            Ok(())
        );
    }
    assert!(admit(&mut jobs, &busy(), LIMITED, start + 1_000 * MS).is_err());

    // All jobs have ended before the next sample.
    jobs.replace_sample(&counts(&[(&busy(), Class::Batch, 1)]), |_| true);
    jobs.remove_until(start + 1_500 * MS);
    assert_eq!(jobs.waiting_for(&busy()), 1);
    assert!(jobs.admitted.is_empty());
}

#[test]
fn jobs_count_for_an_account_that_is_new_to_a_sample() {
    let start = Instant::now();
    let mut jobs = sampled(&AccountKey::of_provider("other"), 1);
    for at in [100, 900, 900] {
        assert_eq!(admit(&mut jobs, &busy(), LIMITED, start + at * MS), Ok(()));
    }
    // As long as no job of the sample waits for the account, the account is not full.
    assert_eq!(jobs.waiting_for(&busy()), 0);
    jobs.replace_sample(&counts(&[(&busy(), Class::Batch, 47)]), |_| true);
    jobs.remove_until(start + 500 * MS);
    assert_eq!(jobs.waiting_for(&busy()), 49);
    // In one sample no job waits for the account. The next sample has waiting jobs again.
    jobs.replace_sample(&Counts::default(), |_| true);
    jobs.remove_until(start + 600 * MS);
    assert!(jobs.has_no_jobs());
    assert_eq!(
        admit(&mut jobs, &busy(), LIMITED, start + 1_100 * MS),
        Ok(())
    );
    jobs.replace_sample(&counts(&[(&busy(), Class::Batch, 3)]), |_| true);
    jobs.remove_until(start + 1_000 * MS);
    assert_eq!(jobs.waiting_for(&busy()), 4);
}

#[test]
fn before_the_first_sample_jobs_count_for_all_accounts() {
    let start = Instant::now();
    let mut jobs = WaitingJobs::default();
    assert!(!jobs.has_no_jobs());
    // This process does not know yet that the account is limited.
    for at in [0, 0, 900] {
        assert_eq!(
            admit(&mut jobs, &busy(), UNLIMITED, start + at * MS),
            Ok(())
        );
    }
    jobs.replace_sample(&counts(&[(&busy(), Class::Batch, 10)]), |_| true);
    jobs.remove_until(start + 500 * MS);
    assert_eq!(jobs.waiting_for(&busy()), 11);
}

#[test]
fn the_number_of_accounts_with_admitted_jobs_is_bounded() {
    let start = Instant::now();
    let mut jobs = WaitingJobs::default();
    let account = |index: usize| AccountKey::of_model("busy", &index.to_string());
    for index in 0..2 * ACCOUNTS_MAX {
        assert_eq!(admit(&mut jobs, &account(index), LIMITED, start), Ok(()));
    }
    assert_eq!(jobs.admitted.len(), ACCOUNTS_MAX);
    jobs.replace_sample(&Counts::default(), |_| true);
    jobs.remove_until(start + 2 * MS);
    assert!(jobs.admitted.is_empty());
    // No job can have to wait for an account without limits.
    assert_eq!(admit(&mut jobs, &account(0), UNLIMITED, start), Ok(()));
    assert!(jobs.admitted.is_empty());
}

#[test]
fn the_expected_wait_adds_the_time_until_the_account_opens_and_the_time_of_its_jobs() {
    let mut account = Account::default();
    assert_eq!(expected_wait_ms(&account, 10, NOW), None);
    let refusal = Refusal {
        cause: ClosedBy::Unavailable,
        taken_at: NOW,
        overload_calls: None,
        retry_after_ms: Some(7_000),
        limits: None,
        error: JobError::new("provider_unavailable", "away"),
        random: 0.5,
    };
    account.apply(&AccountEvent::Refused(refusal), NOW);
    let later = NOW.plus_ms(2_000);
    assert_eq!(expected_wait_ms(&account, 10, later), Some(5_000));
    let limits = ConfiguredLimits {
        requests_per_minute: Some(120),
        ..ConfiguredLimits::default()
    };
    let by = ConfiguredBy {
        started_at: NOW,
        process: ProcessId::fresh("worker"),
    };
    account.apply(&AccountEvent::Configured { limits, by }, NOW);
    assert_eq!(expected_wait_ms(&account, 10, later), Some(10_000));
}
