//! Bounds the bytes that one use of memory may take, over all tasks of the process.
//!
//! A task reserves the bytes before it reads or builds something large, and keeps the reservation as long as that is in
//! memory. Reservations are granted in the order of the requests, so that a large one is not overtaken for ever.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// One permit of the semaphore stands for this many bytes.
const PERMIT_BYTES: u64 = 1_024;

/// A budget of bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    permits: Arc<Semaphore>,
    /// All permits of the budget.
    total: u32,
}

/// Bytes that are reserved until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct ReservedBytes {
    budget: Arc<Semaphore>,
    total: u32,
    permit: OwnedSemaphorePermit,
}

impl ByteBudget {
    /// A budget of this many bytes, rounded down to KiB, at least 1 KiB and at most 4 TiB.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let max = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let total = u32::try_from(bytes / PERMIT_BYTES).unwrap_or(u32::MAX);
        let total = total.clamp(1, max);
        Self {
            permits: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    /// The bytes of the whole budget.
    #[must_use]
    pub fn total(&self) -> u64 {
        u64::from(self.total) * PERMIT_BYTES
    }

    /// The bytes that are not reserved.
    #[must_use]
    pub fn available(&self) -> u64 {
        u64::try_from(self.permits.available_permits()).unwrap_or(u64::MAX) * PERMIT_BYTES
    }

    /// Reserves bytes, after all earlier requests. More bytes than the whole budget count as the whole budget, so that
    /// something this large is in memory alone. `None` if the bytes are not free within `wait_max`.
    pub async fn reserve(&self, bytes: u64, wait_max: Duration) -> Option<ReservedBytes> {
        let acquire = Arc::clone(&self.permits).acquire_many_owned(self.clamped(bytes));
        let permit = timeout(wait_max, acquire).await.ok()?.ok()?;
        Some(self.reserved(permit))
    }

    /// Reserves bytes if they are free now and nobody waits for them.
    #[must_use]
    pub fn try_reserve(&self, bytes: u64) -> Option<ReservedBytes> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.try_acquire_many_owned(self.clamped(bytes)).ok()?;
        Some(self.reserved(permit))
    }

    fn clamped(&self, bytes: u64) -> u32 {
        permits(bytes).min(self.total)
    }

    fn reserved(&self, permit: OwnedSemaphorePermit) -> ReservedBytes {
        ReservedBytes {
            budget: Arc::clone(&self.permits),
            total: self.total,
            permit,
        }
    }
}

impl ReservedBytes {
    /// The reserved bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.permit.num_permits()).unwrap_or(u64::MAX) * PERMIT_BYTES
    }

    /// Extends the reservation to this many bytes. Never waits: two tasks that extend their reservations could wait for each
    /// other for ever. Returns whether the bytes are reserved now.
    pub fn try_extend(&mut self, bytes: u64) -> bool {
        let wanted = permits(bytes).min(self.total);
        let held = u32::try_from(self.permit.num_permits()).unwrap_or(u32::MAX);
        let missing = wanted.saturating_sub(held);
        if missing == 0 {
            return true;
        }
        match Arc::clone(&self.budget).try_acquire_many_owned(missing) {
            Ok(added) => {
                self.permit.merge(added);
                true
            }
            Err(_) => false,
        }
    }

    /// Gives back what exceeds this many bytes.
    pub fn shrink(&mut self, bytes: u64) {
        let kept = permits(bytes) as usize;
        let excess = self.permit.num_permits().saturating_sub(kept);
        if excess > 0 {
            drop(self.permit.split(excess));
        }
    }
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ByteBudget;

    const KIB: u64 = 1_024;
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn reservations_are_granted_in_order_and_within_the_budget() {
        let budget = ByteBudget::new(10 * KIB);
        let first = budget.reserve(8 * KIB, LONG).await.expect("free");
        let large = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(6 * KIB, LONG).await.is_some() }
        });
        tokio::task::yield_now().await;
        // The small request came later, so it must not overtake the large one.
        assert!(budget.try_reserve(KIB).is_none());
        let timed_out = budget.reserve(KIB, Duration::from_secs(1)).await;
        assert!(timed_out.is_none());
        drop(first);
        assert!(large.await.expect("no panic"));
        assert_eq!(budget.available(), 10 * KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_larger_than_the_budget_gets_all_of_it() {
        let budget = ByteBudget::new(10 * KIB);
        let all = budget.reserve(u64::MAX, LONG).await.expect("free");
        assert_eq!((all.bytes(), budget.available()), (10 * KIB, 0));
        drop(all);
        assert_eq!(budget.available(), budget.total());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_grows_only_while_bytes_are_free() {
        let budget = ByteBudget::new(10 * KIB);
        let mut growing = budget.try_reserve(4 * KIB).expect("free");
        let other = budget.try_reserve(4 * KIB).expect("free");
        assert!(growing.try_extend(6 * KIB));
        assert!(!growing.try_extend(7 * KIB));
        drop(other);
        assert!(growing.try_extend(u64::MAX));
        growing.shrink(KIB);
        assert_eq!(budget.available(), 9 * KIB);
    }
}
