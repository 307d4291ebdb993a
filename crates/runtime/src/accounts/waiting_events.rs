//! The events that are not applied to their accounts yet.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use forebay_shared::{
    account::{AccountEvent, AccountKey, Decision},
    store::StoreError,
};
use tokio::{sync::oneshot, time::Instant};

/// The events that are not applied yet, by account. An account is in the map while a task changes it.
#[derive(Default)]
pub(super) struct WaitingEvents {
    by_account: Mutex<HashMap<AccountKey, Vec<WaitingEvent>>>,
}

/// An event that is not applied yet.
pub(super) struct WaitingEvent {
    pub(super) event: AccountEvent,
    pub(super) deadline: Instant,
    pub(super) result: oneshot::Sender<Result<Decision, StoreError>>,
}

impl WaitingEvents {
    /// Takes the waiting events of an account. If there are none, removes the account from the map and returns `None`.
    pub(super) fn next_batch(&self, key: &AccountKey) -> Option<Vec<WaitingEvent>> {
        let mut by_account = self.lock();
        let batch = std::mem::take(by_account.get_mut(key)?);
        if batch.is_empty() {
            by_account.remove(key);
            return None;
        }
        Some(batch)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<AccountKey, Vec<WaitingEvent>>> {
        self.by_account
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the waiting events of an account if its task panics. Their callers get an error, and the next event starts a new
/// task.
pub(super) struct PanicGuard<'a> {
    pub(super) waiting: &'a WaitingEvents,
    pub(super) key: &'a AccountKey,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.waiting.lock().remove(self.key);
        }
    }
}
