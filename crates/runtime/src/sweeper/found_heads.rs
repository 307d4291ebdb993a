//! The waiting jobs of an account that the sweeper has found, and the choice of those that it resumes next.

use std::{collections::VecDeque, time::Duration};

use forebay_shared::{
    account::AccountKey,
    class::Class,
    store::{DeferredHead, Store, StoreError},
};
use tokio::time::Instant;

/// The least time between two searches for the jobs of a class, unless the last one found as many as it asked for.
const SEARCH_INTERVAL: Duration = Duration::from_millis(250);
/// A search asks for at least this many jobs, and the next passes take the rest. A search is expensive, because a fleet's
/// store has 256 partitions.
const SEARCHED_MIN: usize = 100;
/// The most jobs among which a search looks for a job that no worker has claimed.
const PROBE_SEARCHED_MAX: usize = 500;
/// While interactive jobs wait too, batch jobs get one of this many permits.
const BATCH_SHARE_DIVISOR: u32 = 10;

/// The waiting jobs of an account that the last searches found.
#[derive(Default)]
pub(super) struct FoundHeads {
    interactive: FoundOfClass,
    batch: FoundOfClass,
    /// The permits since batch jobs last got their share, fewer than [`BATCH_SHARE_DIVISOR`].
    permits_since_batch: u32,
}

/// The found jobs of one class, the oldest first.
#[derive(Default)]
struct FoundOfClass {
    heads: VecDeque<DeferredHead>,
    searched_at: Option<Instant>,
    /// Whether more jobs may wait than the last search returned.
    may_have_more: bool,
}

impl FoundHeads {
    /// Searches for more jobs of each class of which fewer than `permits` are left. For a probe, searches also if all that are left
    /// were claimed.
    pub(super) async fn search(
        &mut self,
        store: &dyn Store,
        key: &AccountKey,
        permits: usize,
        is_for_probe: bool,
    ) -> Result<(), StoreError> {
        for (class, found) in [
            (Class::Interactive, &mut self.interactive),
            (Class::Batch, &mut self.batch),
        ] {
            let is_enough = found.heads.len() >= permits && !(is_for_probe && found.all_claimed());
            let is_recent = |at: Instant| at.elapsed() < SEARCH_INTERVAL;
            // A search that found only claimed jobs would find the same ones again. So only a shortage of jobs skips the
            // interval.
            let is_used_up = found.may_have_more && found.heads.len() < permits;
            if is_enough || (found.searched_at.is_some_and(is_recent) && !is_used_up) {
                continue;
            }
            let wanted = permits.max(SEARCHED_MIN);
            found.heads = store.deferred_heads(key, class, wanted).await?.into();
            found.may_have_more = found.heads.len() >= wanted;
            if is_for_probe && found.all_claimed() && found.may_have_more {
                let heads = store.deferred_heads(key, class, PROBE_SEARCHED_MAX);
                found.heads = heads.await?.into();
            }
            found.searched_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Takes a job as the probe of a closed account: a random one that no worker has claimed, because such jobs have not
    /// failed. If all were claimed, a random one, so that a job that the provider always refuses is not each probe.
    pub(super) fn take_probe(&mut self) -> Vec<DeferredHead> {
        let classes = [&mut self.interactive, &mut self.batch];
        for found in classes {
            if let Some(head) = found.take_any(|head| !head.claimed) {
                return vec![head];
            }
        }
        for found in [&mut self.interactive, &mut self.batch] {
            if let Some(head) = found.take_any(|_| true) {
                found.heads.push_front(head);
            }
        }
        self.take_oldest(1)
    }

    /// Takes as many jobs as there are permits, the oldest of each class first.
    pub(super) fn take_oldest(&mut self, permits: u32) -> Vec<DeferredHead> {
        let limit = permits as usize;
        self.permits_since_batch += permits;
        let share = (self.permits_since_batch / BATCH_SHARE_DIVISOR) as usize;
        self.permits_since_batch %= BATCH_SHARE_DIVISOR;
        // If more interactive jobs may wait than were found, batch jobs get only their share.
        let found = if self.interactive.may_have_more {
            limit
        } else {
            self.interactive.heads.len()
        };
        let for_batch = share.max(limit.saturating_sub(found));
        let mut heads: Vec<DeferredHead> = self.batch.take(for_batch.min(limit)).collect();
        let left = limit - heads.len();
        heads.extend(self.interactive.take(left));
        heads
    }

    /// Forgets the jobs, so that the next pass searches again.
    pub(super) fn forget(&mut self) {
        self.interactive = FoundOfClass::default();
        self.batch = FoundOfClass::default();
    }
}

impl FoundOfClass {
    fn all_claimed(&self) -> bool {
        self.heads.iter().all(|head| head.claimed)
    }

    /// Takes a random one of the jobs for which `is_wanted` returns true.
    fn take_any(&mut self, is_wanted: impl Fn(&DeferredHead) -> bool) -> Option<DeferredHead> {
        let positions = 0..self.heads.len();
        let wanted: Vec<usize> = positions
            .filter(|position| is_wanted(&self.heads[*position]))
            .collect();
        if wanted.is_empty() {
            return None;
        }
        self.heads
            .remove(wanted[rand::random_range(0..wanted.len())])
    }

    fn take(&mut self, count: usize) -> impl Iterator<Item = DeferredHead> {
        self.heads.drain(..count.min(self.heads.len()))
    }
}
