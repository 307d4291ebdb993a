//! The accounts of the store as of the last read or change.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use forebay_shared::{
    account::{Account, AccountKey},
    store::{ACCOUNTS_MAX, AccountVersion, StoreError, StoredAccounts, UnreadableAccount},
};
use tokio::time::Instant;

/// The least time between two log lines about accounts that cannot be read.
const UNREADABLE_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// An account with the version of its document. Without a version, the store has no such account.
#[derive(Clone, Debug, Default)]
pub(super) struct CachedAccount {
    pub(super) version: Option<AccountVersion>,
    pub(super) account: Account,
}

/// The accounts of the store.
#[derive(Default)]
pub(super) struct AccountCache {
    state: Mutex<State>,
    /// The number of accounts. While it is 0, `get` and `all` take no lock.
    len: AtomicUsize,
    /// Held during a read of the store, so that an older read does not replace a newer one.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    accounts: HashMap<AccountKey, Arc<CachedAccount>>,
    /// The accounts that this process has changed since the last read began. The read may not contain these changes.
    changed: HashSet<AccountKey>,
    /// The accounts that this process cannot read. It does not change them, and handles them as accounts without limits.
    unreadable: HashSet<AccountKey>,
    /// When unreadable accounts were last logged.
    unreadable_logged_at: Option<Instant>,
}

impl AccountCache {
    /// Whether the store has no account that this process can read.
    pub(super) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// The account, or an account without limits.
    pub(super) fn get(&self, key: &AccountKey) -> Arc<CachedAccount> {
        if self.is_empty() {
            return Arc::default();
        }
        self.lock().accounts.get(key).cloned().unwrap_or_default()
    }

    /// Whether this process cannot read the account.
    pub(super) fn is_unreadable(&self, key: &AccountKey) -> bool {
        self.lock().unreadable.contains(key)
    }

    /// Whether the store has as many accounts as it keeps.
    pub(super) fn is_full(&self) -> bool {
        let state = self.lock();
        state.accounts.len() + state.unreadable.len() >= ACCOUNTS_MAX
    }

    /// All accounts that this process can read, ordered by their names.
    pub(super) fn all(&self) -> Vec<(AccountKey, Arc<CachedAccount>)> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut all: Vec<_> = self
            .lock()
            .accounts
            .iter()
            .map(|(key, cached)| (key.clone(), Arc::clone(cached)))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Replaces one account after a change of this process. `None` if it was removed.
    pub(super) fn set(&self, key: AccountKey, cached: Option<CachedAccount>) {
        let mut state = self.lock();
        state.changed.insert(key.clone());
        match cached {
            Some(cached) => state.accounts.insert(key, Arc::new(cached)),
            None => state.accounts.remove(&key),
        };
        self.len.store(state.accounts.len(), Ordering::Release);
    }

    /// Replaces all accounts by those that `read` returns, except for accounts that this process changes meanwhile.
    ///
    /// # Errors
    /// The error of `read`.
    pub(super) async fn refresh(
        &self,
        read: impl Future<Output = Result<StoredAccounts, StoreError>>,
    ) -> Result<(), StoreError> {
        let _one_at_a_time = self.reading.lock().await;
        self.lock().changed.clear();
        let StoredAccounts {
            accounts: stored,
            unreadable,
        } = read.await?;
        let read = stored.into_iter().map(|stored| {
            let cached = CachedAccount {
                version: Some(stored.version),
                account: stored.account,
            };
            (stored.key, Arc::new(cached))
        });
        let mut read: HashMap<_, _> = read.collect();
        let mut state = self.lock();
        state.log_unreadable(&unreadable);
        state.unreadable = unreadable.into_iter().map(|account| account.key).collect();
        let State {
            accounts, changed, ..
        } = &mut *state;
        for key in changed.drain() {
            match accounts.remove(&key) {
                Some(cached) => read.insert(key, cached),
                None => read.remove(&key),
            };
        }
        *accounts = read;
        self.len.store(accounts.len(), Ordering::Release);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Logs that accounts cannot be read, at most once a minute.
    fn log_unreadable(&mut self, unreadable: &[UnreadableAccount]) {
        let Some(first) = unreadable.first() else {
            return;
        };
        let is_recent = |at: Instant| at.elapsed() < UNREADABLE_LOG_INTERVAL;
        if self.unreadable_logged_at.is_some_and(is_recent) {
            return;
        }
        self.unreadable_logged_at = Some(Instant::now());
        tracing::warn!(
            account = %first.key,
            error = %first.error,
            unreadable_accounts = unreadable.len(),
            "the account of a provider cannot be read; this process calls the provider as if it were not limited"
        );
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::store::StoredAccount;

    use super::*;

    #[tokio::test]
    async fn a_read_that_began_before_a_change_does_not_undo_it() {
        let cache = AccountCache::default();
        let [changed, removed, new] = ["changed", "removed", "new"].map(AccountKey::of_provider);
        let stored = |key: &AccountKey| StoredAccount {
            key: key.clone(),
            version: AccountVersion::nil(),
            account: Account::default(),
        };
        let read_as = |accounts| StoredAccounts {
            accounts,
            unreadable: Vec::new(),
        };
        let all = [&changed, &removed].map(stored);
        let version = AccountVersion::new_v4();
        let read = async {
            let next = CachedAccount {
                version: Some(version),
                account: Account::default(),
            };
            cache.set(changed.clone(), Some(next));
            cache.set(removed.clone(), None);
            Ok(read_as([&changed, &removed, &new].map(stored).into()))
        };
        cache.refresh(read).await.unwrap();
        assert_eq!(cache.get(&changed).version, Some(version));
        assert_eq!(cache.get(&removed).version, None);
        assert_eq!(cache.get(&new).version, Some(AccountVersion::nil()));
        // The next read is newer than the changes.
        cache
            .refresh(async { Ok(read_as(all.into())) })
            .await
            .unwrap();
        assert_eq!(cache.get(&changed).version, Some(AccountVersion::nil()));
        assert_eq!(cache.all().len(), 2);
    }
}
