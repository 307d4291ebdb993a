//! The accounts of the store in memory, and the heads that wait for them.

use forebay_shared::{
    account::AccountKey,
    class::Class,
    store::{ACCOUNTS_MAX, AccountSwap, DeferredCount, DeferredEntry, DeferredHead, StoredAccount},
};

use super::State;

impl State {
    pub(super) fn swap_account(&mut self, swap: &AccountSwap) -> bool {
        let stored = self.accounts.get(&swap.key).map(|stored| stored.version);
        if stored == Some(swap.version) {
            return true;
        }
        let creates = stored.is_none() && swap.next.is_some();
        if self.unreadable_accounts.contains(&swap.key) {
            // Another process wrote it, so it has another version than any reader knows.
            return false;
        }
        if stored != swap.expected || (creates && self.accounts.len() >= ACCOUNTS_MAX) {
            return false;
        }
        match &swap.next {
            Some(account) => {
                let stored = StoredAccount {
                    key: swap.key.clone(),
                    version: swap.version,
                    account: account.clone(),
                };
                self.accounts.insert(swap.key.clone(), stored);
            }
            None => drop(self.accounts.remove(&swap.key)),
        }
        true
    }

    pub(super) fn deferred_heads(
        &self,
        account: &AccountKey,
        class: Class,
        limit: usize,
    ) -> Vec<DeferredHead> {
        let entries = self.lanes.iter();
        let mut heads: Vec<_> = entries
            .filter_map(|(lane, (document, _))| Some((lane, DeferredEntry::of(document)?)))
            .filter(|(_, entry)| (&entry.account, entry.class) == (account, class))
            .collect();
        heads.sort_by_key(|(_, entry)| entry.admitted_at);
        let heads = heads.into_iter().take(limit);
        heads
            .map(|(lane, entry)| DeferredHead {
                lane: lane.clone(),
                job: entry.job,
                claimed: entry.claimed,
            })
            .collect()
    }

    pub(super) fn deferred_counts(&self) -> Vec<DeferredCount> {
        let mut counts: Vec<DeferredCount> = Vec::new();
        for entry in self
            .lanes
            .values()
            .filter_map(|(lane, _)| DeferredEntry::of(lane))
        {
            let jobs = 1 + entry.behind as u64;
            let is_same = |count: &&mut DeferredCount| {
                (&count.account, count.class) == (&entry.account, entry.class)
            };
            match counts.iter_mut().find(is_same) {
                Some(count) => {
                    count.heads += 1;
                    count.jobs += jobs;
                }
                None => counts.push(DeferredCount {
                    account: entry.account,
                    class: entry.class,
                    heads: 1,
                    jobs,
                }),
            }
        }
        counts
    }
}
