//! Limits the jobs that wait for one account to half of the backlog. So the jobs of a provider that is away cannot fill the
//! backlog, and submits for other providers are still accepted.

use std::collections::HashMap;

use forebay_runtime::member::Member;
use forebay_shared::{
    account::{Account, AccountKey, Phase},
    store::Counts,
    time::TimeMs,
};

use crate::{problem::Problem, problem_code::ProblemCode};

/// The most jobs that may wait for one account are the backlog limit divided by this: its share.
const SHARE_DIVISOR: u64 = 2;
/// A refused client should submit again when a tenth of the account's share is free: the share divided by this. So many
/// refused clients can succeed together.
const RETRY_DIVISOR: u64 = 10;

/// How many jobs wait for each account: those in a sample of the counts, and those that this process admitted after it.
#[derive(Default)]
pub(crate) struct WaitingJobs {
    jobs: HashMap<AccountKey, u64>,
}

/// Too many jobs wait for an account.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AccountFull {
    account: AccountKey,
    /// The most jobs that may wait for it.
    jobs_max: u64,
    /// How many jobs must stop waiting before a refused client should submit again.
    excess: u64,
}

impl WaitingJobs {
    /// The waiting jobs of a sample. A job behind a waiting job of its session waits for the same account. A job that waits for a
    /// model's account also counts for the provider's account if `is_limited` returns true for the latter.
    pub(crate) fn of(counts: &Counts, is_limited: impl Fn(&AccountKey) -> bool) -> Self {
        let mut jobs = HashMap::new();
        for count in &counts.deferred {
            *jobs.entry(count.account.clone()).or_default() += count.jobs;
            let provider = AccountKey::of_provider(count.account.provider());
            if provider != count.account && is_limited(&provider) {
                *jobs.entry(provider).or_default() += count.jobs;
            }
        }
        Self { jobs }
    }

    /// Whether no job waits for an account.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Counts one more job that may wait for these accounts. It is counted only for accounts with waiting jobs in the sample,
    /// because the jobs of other accounts may not need to wait.
    ///
    /// # Errors
    /// An account whose jobs take their share of the backlog already. Nothing is counted then.
    pub(crate) fn add(
        &mut self,
        accounts: &[AccountKey],
        backlog_max: u64,
    ) -> Result<(), AccountFull> {
        let jobs_max = (backlog_max / SHARE_DIVISOR).max(1);
        for account in accounts {
            let waiting = self.jobs.get(account).copied().unwrap_or_default();
            if waiting >= jobs_max {
                return Err(AccountFull {
                    account: account.clone(),
                    jobs_max,
                    excess: waiting - jobs_max + 1 + jobs_max / RETRY_DIVISOR,
                });
            }
        }
        for account in accounts {
            if let Some(waiting) = self.jobs.get_mut(account) {
                *waiting += 1;
            }
        }
        Ok(())
    }

    /// Ends the count of a job that [`Self::add`] counted.
    pub(crate) fn remove(&mut self, accounts: &[AccountKey]) {
        for account in accounts {
            if let Some(waiting) = self.jobs.get_mut(account) {
                *waiting = waiting.saturating_sub(1);
            }
        }
    }
}

impl AccountFull {
    /// The response to the refused submit, without its `Retry-After`.
    pub(crate) fn problem(&self) -> Problem {
        let Self {
            account, jobs_max, ..
        } = self;
        let detail = format!("at most {jobs_max} jobs may wait for {account}");
        Problem::new(ProblemCode::ProviderBacklogFull, detail)
    }

    /// The expected time until enough jobs have stopped waiting, in milliseconds.
    pub(crate) fn retry_after_ms(&self, member: &Member) -> u64 {
        let account = member.accounts.get(&self.account);
        expected_wait_ms(&account, self.excess, member.store.now())
            .unwrap_or_else(|| member.gauge.time_to_drain_ms(self.excess))
    }
}

/// The expected time until the account is open and has granted permits for `jobs` jobs, in milliseconds. `None` if it is
/// open and its rate is not known.
fn expected_wait_ms(account: &Account, jobs: u64, now: TimeMs) -> Option<u64> {
    let closed_ms = match &account.phase {
        Phase::Open => None,
        Phase::Closed(closing) | Phase::Probing(closing) => Some(closing.until.since_ms(now)),
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate; the cast of a float saturates"
    )]
    let drain_ms = account
        .known_calls_per_second(now)
        .map(|rate| (jobs as f64 / rate * 1_000.0) as u64);
    match (closed_ms, drain_ms) {
        (None, None) => None,
        (closed_ms, drain_ms) => {
            let drain_ms = drain_ms.unwrap_or_default();
            Some(closed_ms.unwrap_or_default().saturating_add(drain_ms))
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        account::{
            Account, AccountEvent, AccountKey, ClosedBy, ConfiguredBy, ConfiguredLimits, Refusal,
        },
        class::Class,
        ids::ProcessId,
        job::JobError,
        store::{Counts, DeferredCount},
        time::TimeMs,
    };

    use super::{WaitingJobs, expected_wait_ms};

    const NOW: TimeMs = TimeMs(1_000_000);

    fn waiting(account: &AccountKey, interactive: u64, batch: u64) -> WaitingJobs {
        let count = |class, jobs| DeferredCount {
            account: account.clone(),
            class,
            heads: 1,
            jobs,
        };
        let counts = Counts {
            deferred: vec![
                count(Class::Interactive, interactive),
                count(Class::Batch, batch),
            ],
            ..Counts::default()
        };
        WaitingJobs::of(&counts, |_| true)
    }

    #[test]
    fn the_jobs_of_models_wait_for_their_provider_only_while_it_is_limited() {
        let model = AccountKey::of_model("busy", "large");
        let counts = Counts {
            deferred: vec![DeferredCount {
                account: model.clone(),
                class: Class::Batch,
                heads: 5,
                jobs: 50,
            }],
            ..Counts::default()
        };
        let accounts = [
            AccountKey::of_provider("busy"),
            AccountKey::of_model("busy", "small"),
        ];
        let mut jobs = WaitingJobs::of(&counts, |_| false);
        assert_eq!(jobs.add(&accounts, 100), Ok(()));
        let mut jobs = WaitingJobs::of(&counts, |key| *key == accounts[0]);
        let full = jobs.add(&accounts, 100).expect_err("50 jobs wait");
        assert_eq!(full.account, accounts[0]);
    }

    #[test]
    fn the_jobs_of_an_account_may_take_half_of_the_backlog() {
        let (busy, other) = (
            AccountKey::of_provider("busy"),
            AccountKey::of_provider("other"),
        );
        let accounts = [other.clone(), busy.clone()];
        let mut jobs = waiting(&busy, 30, 18);
        assert_eq!(jobs.add(&accounts, 100), Ok(()));
        assert_eq!(jobs.add(&accounts, 100), Ok(()));
        let full = jobs.add(&accounts, 100).expect_err("50 jobs wait");
        assert_eq!(
            (full.account, full.jobs_max, full.excess),
            (busy.clone(), 50, 6)
        );
        assert_eq!(jobs.add(&[other], 100), Ok(()));
        let beyond = waiting(&busy, 70, 0).add(&[busy], 100);
        assert_eq!(beyond.expect_err("70 jobs wait").excess, 26);
    }

    #[test]
    fn with_a_backlog_of_one_job_one_job_may_wait() {
        let busy = AccountKey::of_provider("busy");
        let accounts = [busy.clone()];
        assert!(waiting(&busy, 0, 0).add(&accounts, 1).is_ok());
        assert!(waiting(&busy, 1, 0).add(&accounts, 1).is_err());
    }

    #[test]
    fn the_expected_wait_adds_the_remaining_closing_and_the_time_of_the_jobs_at_the_rate() {
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
}
