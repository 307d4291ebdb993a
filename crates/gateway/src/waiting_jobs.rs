//! Limits the jobs that wait for one account to half of the backlog. So the jobs of a provider that is away cannot fill the
//! backlog, and submits for other providers are still accepted.

use std::{collections::HashMap, time::Instant};

use forebay_runtime::member::Member;
use forebay_shared::{
    account::{Account, AccountKey, Phase},
    store::{ACCOUNTS_MAX, Counts},
    time::TimeMs,
};

use crate::{admitted_jobs::AdmittedJobs, problem::Problem, problem_code::ProblemCode};

/// The backlog limit divided by this number is the share of each account: the most jobs that may wait for it.
const SHARE_DIVISOR: u64 = 2;
/// A refused client should submit again once the account's share divided by this number is free, so that many refused
/// clients can succeed together.
const RETRY_DIVISOR: u64 = 10;

/// How many jobs wait for each account: the jobs of the newest sample of the counts, and the jobs that this process admits after it.
#[derive(Default)]
pub(crate) struct WaitingJobs {
    /// The jobs of the newest sample. `None` before the first sample.
    sampled: Option<HashMap<AccountKey, u64>>,
    /// The jobs that this process admits after the sample. Only accounts for which jobs may have to wait are here, at most
    /// [`ACCOUNTS_MAX`].
    admitted: HashMap<AccountKey, AdmittedJobs>,
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
    /// Replaces the sample. A job behind a waiting job of its session waits for the same account. A job that waits for a
    /// model's account also counts for the provider's account if `is_limited` returns true for the latter.
    pub(crate) fn replace_sample(
        &mut self,
        counts: &Counts,
        is_limited: impl Fn(&AccountKey) -> bool,
    ) {
        let mut jobs = HashMap::new();
        for count in &counts.deferred {
            *jobs.entry(count.account.clone()).or_default() += count.jobs;
            let provider = AccountKey::of_provider(count.account.provider());
            if provider != count.account && is_limited(&provider) {
                *jobs.entry(provider).or_default() += count.jobs;
            }
        }
        self.sampled = Some(jobs);
    }

    /// Ends the count of the admitted jobs whose commits had ended when the newest sample was made. They are in the sample if they
    /// still wait.
    pub(crate) fn remove_until(&mut self, sampled_at: Instant) {
        self.admitted.retain(|_, admitted| {
            admitted.remove_until(sampled_at);
            admitted.jobs() > 0
        });
    }

    /// Whether no job waits for any account in the newest sample. `false` before the first sample.
    pub(crate) fn has_no_jobs(&self) -> bool {
        self.sampled.as_ref().is_some_and(HashMap::is_empty)
    }

    /// Counts one more job that may wait for these accounts. Returns the accounts for which it is counted. They are the accounts
    /// with waiting jobs in the sample, and those that can have some in the next sample: limited accounts, and all accounts
    /// before the first sample.
    ///
    /// # Errors
    /// An account whose jobs take their share of the backlog already. Nothing is counted then. An account without waiting jobs in
    /// the sample is never full, because its jobs may not need to wait.
    pub(crate) fn reserve(
        &mut self,
        mut accounts: Vec<AccountKey>,
        backlog_max: u64,
        is_limited: impl Fn(&AccountKey) -> bool,
    ) -> Result<Vec<AccountKey>, AccountFull> {
        let jobs_max = (backlog_max / SHARE_DIVISOR).max(1);
        for account in &accounts {
            let waiting = self.waiting_for(account);
            if waiting >= jobs_max {
                return Err(AccountFull {
                    account: account.clone(),
                    jobs_max,
                    excess: waiting - jobs_max + 1 + jobs_max / RETRY_DIVISOR,
                });
            }
        }
        accounts.retain(|account| {
            let is_counted = match &self.sampled {
                Some(sampled) => sampled.contains_key(account) || is_limited(account),
                None => true,
            };
            let has_entry = self.admitted.contains_key(account);
            is_counted && (has_entry || self.admitted.len() < ACCOUNTS_MAX)
        });
        for account in &accounts {
            self.admitted.entry(account.clone()).or_default().reserve();
        }
        Ok(accounts)
    }

    /// The number of jobs that wait for an account or may have to. 0 if no job of the sample waits for it.
    fn waiting_for(&self, account: &AccountKey) -> u64 {
        let sampled = self.sampled.as_ref().and_then(|jobs| jobs.get(account));
        let Some(sampled) = sampled else { return 0 };
        let admitted = self.admitted.get(account).map(AdmittedJobs::jobs);
        sampled.saturating_add(admitted.unwrap_or_default())
    }

    /// Ends the count of a job that is not committed. `accounts` is what [`Self::reserve`] returned.
    pub(crate) fn release(&mut self, accounts: &[AccountKey]) {
        for account in accounts {
            if let Some(admitted) = self.admitted.get_mut(account) {
                admitted.release();
                if admitted.jobs() == 0 {
                    self.admitted.remove(account);
                }
            }
        }
    }

    /// Records that the commit of a job has ended. `accounts` is what [`Self::reserve`] returned.
    pub(crate) fn commit_ended(&mut self, accounts: &[AccountKey], now: Instant) {
        for account in accounts {
            if let Some(admitted) = self.admitted.get_mut(account) {
                admitted.commit_ended(now);
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
mod tests;
