//! Gathers the answers of calls by account, so that many answers cost one change of the store.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use forebay_shared::{
    account::{AccountEvent, AccountKey, ReportedLimits},
    time::TimeMs,
};

/// The most answers of one account that are gathered. Further ones are dropped.
const ANSWERS_MAX: usize = 1_000;
/// The most accounts for which answers are gathered.
const GATHERED_MAX: usize = 1_000;

/// The answers that are not applied to their accounts yet.
#[derive(Default)]
pub(super) struct Answers {
    by_account: Mutex<HashMap<AccountKey, Gathered>>,
}

#[derive(Default)]
struct Gathered {
    started_at: Vec<TimeMs>,
    replies: u32,
    tokens: u64,
    /// The limits in the newest answer that reported limits.
    limits: Option<ReportedLimits>,
}

impl Answers {
    /// Adds the answer of one call. `tokens`: the tokens of the reply; `None` if there was no reply.
    pub(super) fn add(
        &self,
        key: &AccountKey,
        started_at: TimeMs,
        tokens: Option<u64>,
        limits: Option<ReportedLimits>,
    ) {
        let replies = u32::from(tokens.is_some());
        self.gather(key, |gathered| {
            gathered.add(&[started_at], replies, tokens.unwrap_or_default());
            gathered.limits = limits.or(gathered.limits);
        });
    }

    /// Adds answers that could not be applied. Newer answers may have been gathered meanwhile.
    pub(super) fn put_back(&self, key: &AccountKey, event: &AccountEvent) {
        if let AccountEvent::Answered {
            started_at,
            replies,
            tokens,
            limits,
        } = event
        {
            self.gather(key, |gathered| {
                gathered.add(started_at, *replies, *tokens);
                gathered.limits = gathered.limits.or(*limits);
            });
        }
    }

    /// Takes the answers of an account as one event.
    pub(super) fn take(&self, key: &AccountKey) -> Option<AccountEvent> {
        self.lock().remove(key).map(Gathered::into_event)
    }

    /// Takes the answers of all accounts.
    pub(super) fn take_all(&self) -> Vec<(AccountKey, AccountEvent)> {
        let all = std::mem::take(&mut *self.lock());
        all.into_iter()
            .map(|(key, gathered)| (key, gathered.into_event()))
            .collect()
    }

    fn gather(&self, key: &AccountKey, add: impl FnOnce(&mut Gathered)) {
        let mut by_account = self.lock();
        if by_account.len() < GATHERED_MAX || by_account.contains_key(key) {
            add(by_account.entry(key.clone()).or_default());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountKey, Gathered>> {
        self.by_account
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn add(&mut self, started_at: &[TimeMs], replies: u32, tokens: u64) {
        let free = ANSWERS_MAX.saturating_sub(self.started_at.len());
        // Starts, replies and tokens are dropped together. Tokens without the starts of their calls would raise the mean of a call.
        if started_at.len() <= free {
            self.started_at.extend_from_slice(started_at);
            self.replies = self.replies.saturating_add(replies);
            self.tokens = self.tokens.saturating_add(tokens);
        }
    }

    fn into_event(self) -> AccountEvent {
        AccountEvent::Answered {
            started_at: self.started_at,
            replies: self.replies,
            tokens: self.tokens,
            limits: self.limits,
        }
    }
}
