//! Changes accounts by compare-and-set. Events of one account that arrive during a change are applied together in the next
//! change. So the changes of one process do not conflict with each other, and many events cost few changes.

use std::time::Duration;

use forebay_shared::{
    account::{Account, AccountEvent, AccountKey, Decision, Phase, PhaseChange},
    backoff::Backoff,
    store::{AccountSwap, AccountVersion, StoreError},
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout_at},
};

use super::{
    cache::CachedAccount,
    handle::{Accounts, Shared},
    waiting_events::{PanicGuard, WaitingEvent},
};

/// After this many conflicts with other processes, a change of an account fails.
const CONFLICTS_MAX: u32 = 50;
/// The delays before a change is repeated after a conflict.
const CONFLICT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(30));
/// The delays before a request that got no response is repeated.
const FAILURE_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
/// The time in which an event must be applied.
const EVENT_TIMEOUT: Duration = Duration::from_secs(3);

impl Accounts {
    /// Applies an event to an account, and writes the account if it has changed. An account that the store does not have, or
    /// that this process cannot read, counts as one without limits. An account that cannot be read is not written.
    ///
    /// # Errors
    /// [`StoreError`] if the store did not confirm the change, or if other processes kept changing the account.
    pub async fn apply(
        &self,
        key: &AccountKey,
        event: AccountEvent,
    ) -> Result<Decision, StoreError> {
        let deadline = Instant::now() + EVENT_TIMEOUT;
        let (result, decision) = oneshot::channel();
        self.enqueue(
            key,
            WaitingEvent {
                event,
                deadline,
                result,
            },
        );
        match timeout_at(deadline, decision).await {
            Ok(Ok(decision)) => decision,
            // The task has panicked, or the deadline has passed.
            Ok(Err(_)) | Err(_) => Err(StoreError::Unavailable(None)),
        }
    }

    fn enqueue(&self, key: &AccountKey, waiting: WaitingEvent) {
        let mut by_account = self.shared.waiting.lock();
        if let Some(events) = by_account.get_mut(key) {
            events.push(waiting);
            return;
        }
        by_account.insert(key.clone(), vec![waiting]);
        drop(by_account);
        tokio::spawn(change_all(self.clone(), key.clone()));
    }

    /// Applies events to an account in one change. Returns the decision of each.
    async fn change(
        &self,
        key: &AccountKey,
        events: &[AccountEvent],
        deadline: Instant,
    ) -> Result<Vec<Decision>, StoreError> {
        let Shared { store, cache, .. } = &*self.shared;
        for conflicts in 0..CONFLICTS_MAX {
            let cached = cache.get(key);
            let now = store.now();
            let mut account = cached.account.clone();
            let decisions: Vec<Decision> = events
                .iter()
                .map(|event| account.apply(event, now))
                .collect();
            let is_forgotten = account.is_forgettable(now);
            let is_same = account == cached.account;
            // A process that cannot read an account must not change it.
            if cache.is_unreadable(key) {
                // No closing is recorded. So a refused call must spend a try, because only the pause between tries prevents a
                // loop of calls.
                return Ok(decisions
                    .into_iter()
                    .map(Decision::without_closing)
                    .collect());
            }
            if is_same && conflicts == 0 && depends_on_newest(events, &decisions) {
                self.refresh().await?;
                continue;
            }
            if is_same || (is_forgotten && cached.version.is_none()) {
                return Ok(decisions);
            }
            let swap = AccountSwap {
                key: key.clone(),
                expected: cached.version,
                version: AccountVersion::new_v4(),
                next: (!is_forgotten).then_some(account),
            };
            if self.swap(&swap, deadline).await? {
                let version = Some(swap.version);
                let next = swap.next.map(|account| CachedAccount { version, account });
                cache.set(key.clone(), next);
                for change in decisions
                    .iter()
                    .filter_map(|decision| decision.phase_change)
                {
                    log_phase_change(key, change, &cache.get(key).account);
                }
                return Ok(decisions);
            }
            self.refresh().await?;
            let is_missing = cached.version.is_none() && cache.get(key).version.is_none();
            if is_missing && !cache.is_unreadable(key) && cache.is_full() {
                return Err(StoreError::Full);
            }
            if Instant::now() >= deadline {
                break;
            }
            sleep(CONFLICT_BACKOFF.delay(conflicts, rand::random())).await;
        }
        Err(StoreError::Unavailable(None))
    }

    /// Makes a swap, and repeats it while the store does not respond. The repeat of a swap that was made succeeds too.
    async fn swap(&self, swap: &AccountSwap, deadline: Instant) -> Result<bool, StoreError> {
        let mut failures = 0;
        loop {
            let error = match self.shared.store.swap_account(swap).await {
                Ok(is_made) => return Ok(is_made),
                Err(error) => error,
            };
            let delay = FAILURE_BACKOFF.delay(failures, rand::random());
            if !error.is_transient() || Instant::now() + delay >= deadline {
                return Err(error);
            }
            sleep(delay).await;
            failures += 1;
        }
    }
}

/// Changes an account until no event is waiting.
async fn change_all(accounts: Accounts, key: AccountKey) {
    let _guard = PanicGuard {
        waiting: &accounts.shared.waiting,
        key: &key,
    };
    while let Some(mut batch) = accounts.shared.waiting.next_batch(&key) {
        // An event whose caller has stopped waiting must not be applied.
        batch.retain(|waiting| !waiting.result.is_closed());
        let Some(deadline) = batch.iter().map(|waiting| waiting.deadline).max() else {
            continue;
        };
        // The gathered answers are applied first, because the other events may depend on them.
        let answered = accounts.shared.answers.take(&key);
        let answered_events = usize::from(answered.is_some());
        let events = batch.iter().map(|waiting| waiting.event.clone());
        let events: Vec<AccountEvent> = answered.into_iter().chain(events).collect();
        match accounts.change(&key, &events, deadline).await {
            Ok(decisions) => {
                let decisions = decisions.into_iter().skip(answered_events);
                for (waiting, decision) in batch.into_iter().zip(decisions) {
                    // Sending fails if the caller has stopped waiting.
                    let _ = waiting.result.send(Ok(decision));
                }
            }
            Err(error) => {
                if answered_events > 0 {
                    accounts.shared.answers.put_back(&key, &events[0]);
                }
                for waiting in batch {
                    let _ = waiting.result.send(Err(clone_error(&error)));
                }
            }
        }
    }
}

/// Clones an error for one of several callers. Its source cannot be cloned, so it is logged instead.
fn clone_error(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full => StoreError::Full,
        StoreError::TooLarge => StoreError::TooLarge,
        StoreError::TurnGone => StoreError::TurnGone,
        StoreError::Newer(newer) => StoreError::Newer(*newer),
        StoreError::Unavailable(source) => {
            tracing::debug!(
                ?source,
                "the store did not confirm the change of an account"
            );
            StoreError::Unavailable(None)
        }
        StoreError::Broken(source) => {
            tracing::error!(?source, "the store failed; an account was not changed");
            StoreError::Broken("the cause is in the log of this process".into())
        }
    }
}

/// Logs that an account closed or opened. Only the process that made the change logs it, so the fleet logs it once.
fn log_phase_change(key: &AccountKey, change: PhaseChange, account: &Account) {
    match (&account.phase, change) {
        (Phase::Closed(closing) | Phase::Probing(closing), PhaseChange::Closed) => tracing::warn!(
            account = %key,
            code = closing.error.code,
            error = closing.error.message,
            "a provider may not be called now; its jobs wait"
        ),
        _ => tracing::info!(account = %key, "a provider may be called again"),
    }
}

/// Whether an event that does not change the cached account may change the newest one. Such an event concerns permits that
/// another process has just taken and that the cache may lack.
fn depends_on_newest(events: &[AccountEvent], decisions: &[Decision]) -> bool {
    events
        .iter()
        .zip(decisions)
        .any(|(event, decision)| match event {
            AccountEvent::NotUsed { .. } | AccountEvent::EndedUnanswered { .. } => true,
            AccountEvent::Moved { .. } => decision.granted == 0,
            _ => false,
        })
}
