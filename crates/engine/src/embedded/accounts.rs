//! The accounts of providers. They are in memory and end with the process, because no other process uses this store.
//! After a restart, the sweeper or the first refused call creates them again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use forebay_shared::{
    account::AccountKey,
    store::{ACCOUNTS_MAX, AccountSwap, StoredAccount},
};

/// The accounts, by name.
#[derive(Debug, Default)]
pub(super) struct MemoryAccounts {
    accounts: Mutex<BTreeMap<AccountKey, StoredAccount>>,
}

impl MemoryAccounts {
    /// All accounts.
    pub(super) fn all(&self) -> Vec<StoredAccount> {
        let accounts = self.accounts.lock();
        let accounts = accounts.unwrap_or_else(PoisonError::into_inner);
        accounts.values().cloned().collect()
    }

    /// Writes or removes an account, if it still has the expected version. Returns whether the account
    /// now has the state of the swap.
    pub(super) fn swap(&self, swap: &AccountSwap) -> bool {
        let accounts = self.accounts.lock();
        let mut accounts = accounts.unwrap_or_else(PoisonError::into_inner);
        let stored = accounts.get(&swap.key).map(|stored| stored.version);
        if stored == Some(swap.version) {
            return true;
        }
        if stored != swap.expected {
            return false;
        }
        let Some(account) = &swap.next else {
            accounts.remove(&swap.key);
            return true;
        };
        if stored.is_none() && accounts.len() >= ACCOUNTS_MAX {
            return false;
        }
        let stored = StoredAccount {
            key: swap.key.clone(),
            version: swap.version,
            account: account.clone(),
        };
        accounts.insert(swap.key.clone(), stored);
        true
    }
}
