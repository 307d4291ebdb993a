//! The handle [`Accounts`]: what this process knows of the accounts, and the events that it reports.

use std::{collections::BTreeMap, sync::Arc};

use forebay_shared::{
    account::{
        Account, AccountEvent, AccountKey, ConfiguredBy, ConfiguredLimits, Phase, ReportedLimits,
    },
    ids::ProcessId,
    job::JobError,
    store::{AccountSwap, AccountVersion, Store, StoreError},
    time::TimeMs,
};
use futures_util::{StreamExt, stream};

use super::{
    answers::Answers, cache::AccountCache, calls::Calls, recent_answers::RecentAnswers,
    waiting_events::WaitingEvents,
};

/// The most accounts to which answers are applied at the same time.
const ANSWERED_AT_ONCE: usize = 64;

/// The accounts of the providers. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) process: ProcessId,
    /// This process, as the one that sets limits.
    pub(super) configured_by: ConfiguredBy,
    pub(super) cache: AccountCache,
    pub(super) answers: Answers,
    pub(super) recent_answers: RecentAnswers,
    pub(super) calls: Calls,
    pub(super) waiting: WaitingEvents,
}

/// An account has no permit now.
#[derive(Clone, Debug, PartialEq)]
pub struct Denied {
    /// The account.
    pub account: AccountKey,
    /// The provider's last error, or an error that names its limit.
    pub error: JobError,
}

impl Accounts {
    /// The accounts of a store. The caller must run their [`AccountsLoop`](super::AccountsLoop).
    #[must_use]
    pub fn new(store: Arc<dyn Store>, process: ProcessId) -> Self {
        let configured_by = ConfiguredBy {
            started_at: store.now(),
            process: process.clone(),
        };
        let shared = Arc::new(Shared {
            store,
            configured_by,
            process,
            cache: AccountCache::default(),
            answers: Answers::default(),
            recent_answers: RecentAnswers::default(),
            calls: Calls::default(),
            waiting: WaitingEvents::default(),
        });
        Self { shared }
    }

    /// All accounts of the store, as of the last read, ordered by their names.
    #[must_use]
    pub fn all(&self) -> Vec<(AccountKey, Account)> {
        let all = self.shared.cache.all().into_iter();
        all.map(|(key, cached)| (key, cached.account.clone()))
            .collect()
    }

    /// The account as of the last read. An account that the store does not have is one without limits.
    #[must_use]
    pub fn get(&self, key: &AccountKey) -> Account {
        self.shared.cache.get(key).account.clone()
    }

    /// Whether calls need permits of the account, as of the last read.
    #[must_use]
    pub fn is_limited(&self, key: &AccountKey) -> bool {
        !self.shared.cache.is_empty() && self.shared.cache.get(key).account.is_limited()
    }

    /// Whether the store has accounts, as of the last read. Without accounts, no provider is limited.
    #[must_use]
    pub fn any_stored(&self) -> bool {
        !self.shared.cache.is_empty()
    }

    /// How many permits an account has now, at most `calls`, as of the last read. Takes none.
    #[must_use]
    pub fn available(&self, key: &AccountKey, calls: u32) -> u32 {
        if !self.is_limited(key) {
            return calls;
        }
        let mut account = self.shared.cache.get(key).account.clone();
        let more_wait = false;
        let take = self.take_event(calls, more_wait);
        account.apply(&take, self.shared.store.now()).granted
    }

    /// Takes up to `calls` permits of an account. Returns how many were granted.
    pub(super) async fn grant(
        &self,
        key: &AccountKey,
        calls: u32,
        more_wait: bool,
    ) -> Result<u32, StoreError> {
        if !self.is_limited(key) {
            return Ok(calls);
        }
        // If the cache shows that no permit is free, no write is needed.
        if self.available(key, calls) == 0 {
            return Ok(0);
        }
        Ok(self
            .apply(key, self.take_event(calls, more_wait))
            .await?
            .granted)
    }

    fn take_event(&self, calls: u32, more_wait: bool) -> AccountEvent {
        AccountEvent::Take {
            calls,
            process: self.shared.process.clone(),
            more_wait,
        }
    }

    /// Begins an account for which jobs wait although the store has none ([`AccountEvent::Lost`]).
    ///
    /// # Errors
    /// [`StoreError`] if the store did not confirm the change.
    pub async fn begin_if_lost(&self, key: &AccountKey) -> Result<(), StoreError> {
        if self.shared.cache.get(key).version.is_some() {
            return Ok(());
        }
        match self.apply(key, AccountEvent::Lost).await {
            // The store has as many accounts as it keeps, so this one stays without limits.
            Ok(_) | Err(StoreError::Full) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Why an account has no permit.
    #[must_use]
    pub fn denied(&self, key: &AccountKey) -> Denied {
        let cached = self.shared.cache.get(key);
        let error = match &cached.account.phase {
            Phase::Closed(closing) | Phase::Probing(closing) => closing.error.clone(),
            Phase::Open => JobError::new("rate_limited", "the provider's limit is used up for now"),
        };
        Denied {
            account: key.clone(),
            error,
        }
    }

    /// Records the answer of a call, with the tokens of its reply if it got one. The loop applies the answer to the account within
    /// about 100 ms. If the account needs no answers and no reported limit is low, only the start of the call is kept, in memory.
    pub fn answered(
        &self,
        key: &AccountKey,
        started_at: TimeMs,
        tokens: Option<u64>,
        limits: Option<ReportedLimits>,
    ) {
        let is_low = limits.is_some_and(|limits| limits.is_low());
        let cache = &self.shared.cache;
        let is_needed = is_low
            || (!cache.is_empty()
                && cache
                    .get(key)
                    .account
                    .needs_answers(self.shared.store.now()));
        if is_needed {
            self.shared.answers.add(key, started_at, tokens, limits);
        } else {
            self.shared.recent_answers.add(key, started_at);
        }
    }

    /// Applies the gathered answers to their accounts. Answers that could not be applied are kept for the next time.
    pub(super) async fn flush_answers(&self) {
        let now = self.shared.store.now();
        for (key, cached) in self.shared.cache.all() {
            if cached.account.needs_earlier_answers(now) {
                let started_at = self.shared.recent_answers.take(&key);
                if !started_at.is_empty() {
                    let earlier = AccountEvent::AnsweredEarlier { started_at };
                    if let Err(error) = self.apply(&key, earlier).await {
                        tracing::debug!(account = %key, %error, "answers from before the first refusal are lost");
                    }
                }
            }
        }
        let all = self.shared.answers.take_all();
        stream::iter(all)
            .for_each_concurrent(ANSWERED_AT_ONCE, |(key, answered)| async move {
                if let Err(error) = self.apply(&key, answered.clone()).await {
                    tracing::debug!(account = %key, %error, "answers of a provider are not counted yet; trying again");
                    self.shared.answers.put_back(&key, &answered);
                }
            })
            .await;
    }

    /// Writes the configured limits into the accounts, and removes limits that are no longer configured. `is_known` returns
    /// whether the configuration has a provider; accounts of other providers keep their limits. If processes have different
    /// limits, those of the process that started last apply. Costs no request for accounts whose limits are up to date.
    ///
    /// # Errors
    /// [`StoreError`] if the store did not confirm a change.
    pub async fn configure(
        &self,
        limits: &BTreeMap<AccountKey, ConfiguredLimits>,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        for (key, limits) in limits {
            self.configure_one(key, *limits).await?;
        }
        for (key, cached) in self.shared.cache.all() {
            let is_removed = !limits.contains_key(&key) && is_known(key.provider());
            if is_removed && !cached.account.configured.is_empty() {
                self.configure_one(&key, ConfiguredLimits::default())
                    .await?;
            }
        }
        Ok(())
    }

    async fn configure_one(
        &self,
        key: &AccountKey,
        limits: ConfiguredLimits,
    ) -> Result<(), StoreError> {
        let by = self.shared.configured_by.clone();
        let account = &self.shared.cache.get(key).account;
        if account.needs_configuration(&limits, &by) {
            let configured = AccountEvent::Configured { limits, by };
            self.apply(key, configured).await?;
        }
        Ok(())
    }

    /// Deletes the accounts that are no longer needed ([`Account::is_forgettable`]). Only one process of the fleet calls
    /// this.
    ///
    /// # Errors
    /// [`StoreError`] if the store did not confirm a deletion.
    pub async fn remove_forgettable(&self) -> Result<(), StoreError> {
        let now = self.shared.store.now();
        for (key, cached) in self.shared.cache.all() {
            if !cached.account.is_forgettable(now) {
                continue;
            }
            let removal = AccountSwap {
                key: key.clone(),
                expected: cached.version,
                version: AccountVersion::new_v4(),
                next: None,
            };
            if self.shared.store.swap_account(&removal).await? {
                self.shared.cache.set(key, None);
            }
        }
        Ok(())
    }
}
