//! Decides whether new jobs are accepted now. The decision depends on the number of live jobs, the jobs that wait for the
//! same provider, the health of the queue, and the state of the store.
//!
//! The readiness probe also checks whether the store answers, and whether an admission lately found the store full. A submit checks
//! only whether the store itself reports that it is full. In the other cases, the commit of the job fails.
//!
//! [`decide`] is a pure function of [`Readings`]; [`Admission`] gathers the readings. `waiting_jobs` has the limit on jobs that wait
//! for the same provider. The limit on the live jobs of one session is not checked here, but by the rules of the lane.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use forebay_runtime::member::Member;
use forebay_shared::{account::AccountKey, store::Counts};

use crate::{
    admitted_jobs::AdmittedJobs, problem::Problem, problem_code::ProblemCode,
    waiting_jobs::WaitingJobs,
};

/// How long wakes may stay unconfirmed before submits are refused.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(30);
/// How long the readiness probe fails after an admission found the store full, if the store itself does not report that it is
/// full. After this time the probe succeeds, and the next submit shows whether the store has space again.
const STORE_FULL_TIME: Duration = Duration::from_secs(10);
/// The longest pause that a refusal advises before the next submit, in seconds.
const RETRY_AFTER_S_MAX: u64 = 300;

/// The inputs of the decision.
#[derive(Clone, Copy, Debug)]
struct Readings {
    /// The live jobs in the store: the jobs of the newest sample, and the jobs that this gateway admits after it.
    live: u64,
    /// The number of live jobs at which submits are refused.
    backlog_max: u64,
    /// How long the queue has confirmed no wake, although some were published.
    unconfirmed_for: Duration,
    /// Whether the store reports that it is full, or the last admission found it full less than [`STORE_FULL_TIME`] ago.
    is_store_full: bool,
    /// Whether the store has answered within the presence TTL.
    store_answers: bool,
}

/// Why submits are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefusalReason {
    /// The store has not answered within the presence TTL.
    StoreUnavailable,
    /// The store has no space for new jobs.
    StoreFull,
    /// The queue has confirmed no wake for [`UNCONFIRMED_MAX`].
    QueueUnhealthy,
    /// The number of live jobs has reached `backlog_max`.
    BacklogFull {
        /// How many jobs must end before the next job is accepted.
        excess: u64,
    },
}

const fn decide(readings: &Readings) -> Option<RefusalReason> {
    if !readings.store_answers {
        return Some(RefusalReason::StoreUnavailable);
    }
    if readings.is_store_full {
        return Some(RefusalReason::StoreFull);
    }
    if readings.unconfirmed_for.as_millis() > UNCONFIRMED_MAX.as_millis() {
        return Some(RefusalReason::QueueUnhealthy);
    }
    if readings.live >= readings.backlog_max {
        let excess = readings.live - readings.backlog_max + 1;
        return Some(RefusalReason::BacklogFull { excess });
    }
    None
}

/// Gathers the readings, and counts the jobs that this process admits after the newest sample.
pub(crate) struct Admission {
    backlog_max: u64,
    backlog: Mutex<Backlog>,
}

/// The newest sample of the counts, and the jobs that this process admits after it.
#[derive(Default)]
struct Backlog {
    /// The newest sample. Two samples are distinguished by their addresses.
    sample: Option<Arc<Counts>>,
    /// The sample's live jobs.
    live: u64,
    /// The jobs that this process admits, or tries to admit, after the sample.
    admitted: AdmittedJobs,
    /// The jobs that wait for each account.
    waiting: WaitingJobs,
    /// When an admission last found the store full. `None` after a successful admission.
    store_full_at: Option<Instant>,
}

impl Admission {
    pub(crate) fn new(backlog_max: u64) -> Self {
        Self {
            backlog_max,
            backlog: Mutex::default(),
        }
    }

    /// Counts one more job in the backlog, or returns why new jobs are refused.
    ///
    /// The job stays counted until a sample has it. Jobs of other gateways are counted with the next sample, about a second
    /// later. `accounts` returns the accounts that the job may wait for. It is called only if jobs may wait for some account.
    ///
    /// This function does not check whether the store is available, or whether the last admission found it full. If the store is
    /// unavailable or still full, the commit of the job fails. Submits are still tried, so that the gateway notices when the store has
    /// free space again. If the store itself reports that it is full, no submit is tried.
    pub(crate) fn reserve(
        &self,
        member: &Member,
        accounts: impl FnOnce() -> Vec<AccountKey>,
    ) -> Result<Reservation<'_>, Problem> {
        // One lock for the decision and the count, so that concurrent submits cannot pass the limit together.
        let mut backlog = self.lock();
        let readings = Readings {
            is_store_full: member.store.is_full(),
            store_answers: true,
            ..self.read(&mut backlog, member)
        };
        if let Some(reason) = decide(&readings) {
            drop(backlog);
            return Err(self.problem(reason, member));
        }
        let accounts = if backlog.waiting.has_no_jobs() && !member.accounts.any_stored() {
            Vec::new()
        } else {
            accounts()
        };
        let is_limited = |account: &AccountKey| member.accounts.is_limited(account);
        let accounts = match backlog
            .waiting
            .reserve(accounts, self.backlog_max, is_limited)
        {
            Ok(counted) => counted,
            Err(full) => {
                drop(backlog);
                let wait_s = full.retry_after_ms(member).div_ceil(1_000);
                let wait_s = wait_s.clamp(1, RETRY_AFTER_S_MAX);
                return Err(full.problem().retry_after(wait_s));
            }
        };
        backlog.admitted.reserve();
        Ok(Reservation {
            admission: self,
            accounts,
            has_commit_begun: false,
        })
    }

    /// Returns `Ok` if a submit would be accepted now, apart from the limits of its provider, tenant and session. The readiness probe
    /// calls this function.
    pub(crate) fn ready(&self, member: &Member) -> Result<(), Problem> {
        let readings = self.read(&mut self.lock(), member);
        match decide(&readings) {
            Some(reason) => Err(self.problem(reason, member)),
            None => Ok(()),
        }
    }

    /// Records whether the last admission found the store full.
    pub(crate) fn set_store_full(&self, is_full: bool) {
        self.lock().store_full_at = is_full.then(Instant::now);
    }

    /// Gathers the readings, and copies a newer sample into `backlog`.
    fn read(&self, backlog: &mut Backlog, member: &Member) -> Readings {
        let now = Instant::now();
        let sample = member.gauge.counts();
        if let Some((sample, age)) = sample
            && !backlog
                .sample
                .as_ref()
                .is_some_and(|earlier| Arc::ptr_eq(earlier, &sample))
        {
            backlog.live = sample.live();
            let is_limited = |key: &AccountKey| member.accounts.is_limited(key);
            backlog.waiting.replace_sample(&sample, is_limited);
            if let Some(sampled_at) = now.checked_sub(age) {
                backlog.admitted.remove_until(sampled_at);
                backlog.waiting.remove_until(sampled_at);
            }
            backlog.sample = Some(sample);
        }
        Readings {
            live: backlog.live.saturating_add(backlog.admitted.jobs()),
            backlog_max: self.backlog_max,
            unconfirmed_for: member.wakes.unconfirmed_for(),
            is_store_full: member.store.is_full()
                || backlog
                    .store_full_at
                    .is_some_and(|at| at.elapsed() < STORE_FULL_TIME),
            store_answers: member.presence.is_current(),
        }
    }

    fn problem(&self, reason: RefusalReason, member: &Member) -> Problem {
        match reason {
            RefusalReason::StoreUnavailable => {
                let detail = "the store has not answered for several seconds";
                Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(2)
            }
            RefusalReason::StoreFull => {
                let detail =
                    "new jobs are refused until the store has free space; accepted jobs continue";
                Problem::new(ProblemCode::StoreFull, detail).retry_after(10)
            }
            RefusalReason::QueueUnhealthy => {
                let max_s = UNCONFIRMED_MAX.as_secs();
                let detail = format!("the queue has confirmed no message for over {max_s} s");
                Problem::new(ProblemCode::QueueUnhealthy, detail).retry_after(5)
            }
            RefusalReason::BacklogFull { excess } => {
                // A tenth of the limit is added, so that many waiting clients succeed together.
                let jobs = excess.saturating_add(self.backlog_max / 10);
                let wait_s = member.gauge.time_to_drain_ms(jobs).div_ceil(1_000);
                let detail = format!("at most {} jobs may be live", self.backlog_max);
                Problem::new(ProblemCode::BacklogFull, detail)
                    .retry_after(wait_s.clamp(1, RETRY_AFTER_S_MAX))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that is counted in the backlog. If the reservation is dropped before the commit begins, the job is no longer counted.
/// Otherwise the job stays counted until a sample has it.
#[must_use]
pub(crate) struct Reservation<'a> {
    admission: &'a Admission,
    /// The accounts for which the job is counted.
    accounts: Vec<AccountKey>,
    has_commit_begun: bool,
}

impl Reservation<'_> {
    /// Records that the commit of the job begins. The caller drops the reservation when the commit has ended.
    pub(crate) const fn begin_commit(&mut self) {
        self.has_commit_begun = true;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut backlog = self.admission.lock();
        if self.has_commit_begun {
            let now = Instant::now();
            backlog.admitted.commit_ended(now);
            backlog.waiting.commit_ended(&self.accounts, now);
        } else {
            backlog.admitted.release();
            backlog.waiting.release(&self.accounts);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Readings, RefusalReason, decide};

    /// The number of live jobs and the time without confirmations are the highest that cause no refusal.
    const ACCEPTED: Readings = Readings {
        live: 9,
        backlog_max: 10,
        unconfirmed_for: Duration::from_secs(30),
        is_store_full: false,
        store_answers: true,
    };

    #[test]
    fn submits_are_accepted_up_to_each_limit() {
        assert_eq!(decide(&ACCEPTED), None);
    }

    #[test]
    fn each_limit_has_its_own_refusal_reason() {
        let backlog_full = Readings {
            live: 12,
            ..ACCEPTED
        };
        assert_eq!(
            decide(&backlog_full),
            Some(RefusalReason::BacklogFull { excess: 3 })
        );
        let unconfirmed = Readings {
            unconfirmed_for: Duration::from_millis(30_001),
            ..ACCEPTED
        };
        assert_eq!(decide(&unconfirmed), Some(RefusalReason::QueueUnhealthy));
        let store_full = Readings {
            is_store_full: true,
            ..ACCEPTED
        };
        assert_eq!(decide(&store_full), Some(RefusalReason::StoreFull));
        let store_unavailable = Readings {
            store_answers: false,
            ..backlog_full
        };
        assert_eq!(
            decide(&store_unavailable),
            Some(RefusalReason::StoreUnavailable)
        );
    }
}
