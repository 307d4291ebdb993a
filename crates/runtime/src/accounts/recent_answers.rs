//! Remembers the latest answers of providers and models that are not limited.
//!
//! The calls that a provider accepts right before its first refusal show how many it accepts at once. Most of them are
//! answered before a process knows of the refusal.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use forebay_shared::{account::AccountKey, time::TimeMs};

/// The most answers of one account that are remembered, the newest ones.
const ANSWERS_MAX: usize = 256;
/// The most accounts whose answers are remembered. With one more, all are forgotten.
const ACCOUNTS_MAX: usize = 1_000;

/// The starts of the calls that were answered last.
#[derive(Default)]
pub(super) struct RecentAnswers {
    started_at: Mutex<HashMap<AccountKey, VecDeque<TimeMs>>>,
}

impl RecentAnswers {
    /// Adds the answer of a call that started at this time.
    pub(super) fn add(&self, key: &AccountKey, started_at: TimeMs) {
        let mut by_account = self.lock();
        if let Some(answers) = by_account.get_mut(key) {
            if answers.len() == ANSWERS_MAX {
                answers.pop_front();
            }
            answers.push_back(started_at);
        } else {
            if by_account.len() == ACCOUNTS_MAX {
                by_account.clear();
            }
            by_account.insert(key.clone(), VecDeque::from([started_at]));
        }
    }

    /// Takes the answers of an account.
    pub(super) fn take(&self, key: &AccountKey) -> Vec<TimeMs> {
        self.lock().remove(key).map(Vec::from).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountKey, VecDeque<TimeMs>>> {
        self.started_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
