//! Reserves the memory of long replies before they are read, so that many of them at once do not take more than the process
//! may use.
//!
//! A reply whose memory is not free yet is read later, within the timeout of its call. A reply of medium size never waits for
//! the large ones. A reply makes at most two reservations: the first as a reply of medium size, the second as a large one. A
//! reply with the second reservation waits for nothing. So two replies cannot wait for each other.

use std::{sync::Arc, time::Duration};

use forebay_runtime::byte_budget::{ByteBudget, ReservedBytes};

/// Replies of at most this many bytes reserve nothing.
const UNRESERVED_BYTES_MAX: u64 = 64 * 1_024;
/// The largest reply of medium size, in bytes.
const MEDIUM_BYTES_MAX: u64 = 1_024 * 1_024;
/// How many bytes of memory a byte of a reply takes: in the body, the parsed answer, the job's reply, the session's turn, and the
/// command that stores both.
const MEMORY_BYTES_PER_BYTE: u64 = 5;
/// The longest wait for memory. The deadline of the call always ends the wait earlier.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The memory that the long replies of all calls may take.
#[derive(Clone, Debug)]
pub struct ReplyBudgets {
    /// For replies of at most 1 MiB.
    pub medium: ByteBudget,
    /// For larger replies.
    pub large: ByteBudget,
}

impl Default for ReplyBudgets {
    /// As much as the calls of a small process need.
    fn default() -> Self {
        Self {
            medium: ByteBudget::new(32 * 1_024 * 1_024),
            large: ByteBudget::new(128 * 1_024 * 1_024),
        }
    }
}

/// The memory that one reply has reserved. It is free again when all clones are dropped.
#[derive(Clone, Debug, Default)]
pub struct ReplyMemory(#[expect(dead_code, reason = "dropped only")] Option<Arc<Reservation>>);

/// All reservations are equal, so that a comparison of two answers ignores their memory.
impl PartialEq for ReplyMemory {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

/// The reservations of a reply that is being read.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    medium: Option<ReservedBytes>,
    large: Option<ReservedBytes>,
}

impl Reservation {
    /// Waits until there is memory for the first `bytes` of a reply. `announced` is the length of the whole reply, if the provider
    /// announced it. Otherwise the reply has at most `bytes_max` bytes.
    pub(super) async fn cover(
        &mut self,
        budgets: &ReplyBudgets,
        bytes: u64,
        announced: Option<u64>,
        bytes_max: u64,
    ) {
        let expected = announced.unwrap_or(bytes);
        if expected <= UNRESERVED_BYTES_MAX || self.large.is_some() {
            return;
        }
        if expected > MEDIUM_BYTES_MAX {
            // While a large reply waits, it must not hold the memory that medium replies need. So it keeps only the memory for
            // the bytes that have arrived.
            if let Some(medium) = &mut self.medium {
                medium.shrink(bytes);
            }
            self.large = reserve(&budgets.large, announced.unwrap_or(bytes_max)).await;
        } else if self.medium.is_none() {
            let bytes = announced.unwrap_or(MEDIUM_BYTES_MAX).min(bytes_max);
            self.medium = reserve(&budgets.medium, bytes).await;
        }
    }

    /// Keeps the memory that a reply of `bytes` needs.
    pub(super) fn keep(mut self, bytes: u64) -> ReplyMemory {
        if self.large.is_some() {
            self.medium = None;
        }
        for reserved in [&mut self.medium, &mut self.large].into_iter().flatten() {
            reserved.shrink(bytes.saturating_mul(MEMORY_BYTES_PER_BYTE));
        }
        let is_reserved = self.medium.is_some() || self.large.is_some();
        ReplyMemory(is_reserved.then(|| Arc::new(self)))
    }
}

async fn reserve(budget: &ByteBudget, bytes: u64) -> Option<ReservedBytes> {
    let bytes = bytes.saturating_mul(MEMORY_BYTES_PER_BYTE);
    budget.reserve(bytes, WAIT_MAX).await
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const KIB: u64 = 1_024;
    const MIB: u64 = 1_024 * KIB;

    /// Reads a reply of `bytes` whose length is announced. `None` if it has to wait.
    fn read(budgets: &ReplyBudgets, bytes: u64) -> Option<ReplyMemory> {
        let mut reservation = Reservation::default();
        // The reply arrives in pieces.
        for received in [KIB, bytes / 2, bytes] {
            let cover = reservation.cover(budgets, received, Some(bytes), bytes);
            cover.now_or_never()?;
        }
        Some(reservation.keep(bytes))
    }

    #[tokio::test]
    async fn a_reply_reserves_memory_by_its_size_until_it_is_dropped() {
        let budgets = ReplyBudgets::default();
        let (medium, large) = (budgets.medium.total(), budgets.large.total());
        for (bytes, of_medium, of_large) in [
            (64 * KIB, 0, 0),
            (65 * KIB, 65 * KIB * 5, 0),
            (MIB, MIB * 5, 0),
            (2 * MIB, 0, 2 * MIB * 5),
            (1_000 * MIB, 0, large),
        ] {
            let memory = read(&budgets, bytes).expect("memory is free");
            let copy = memory.clone();
            drop(memory);
            let free = (budgets.medium.available(), budgets.large.available());
            assert_eq!(free, (medium - of_medium, large - of_large), "{bytes}");
            drop(copy);
        }
        assert_eq!(budgets.medium.available(), medium);
        assert_eq!(budgets.large.available(), large);
    }

    #[tokio::test]
    async fn large_replies_wait_and_medium_ones_do_not_wait_for_them() {
        let budgets = ReplyBudgets::default();
        let largest = read(&budgets, 100 * MIB).expect("memory is free");
        assert!(read(&budgets, 2 * MIB).is_none());
        assert!(read(&budgets, MIB).is_some());
        drop(largest);
        assert!(read(&budgets, 2 * MIB).is_some());
    }

    #[tokio::test]
    async fn large_replies_of_unknown_length_that_wait_leave_memory_for_medium_ones() {
        let budgets = ReplyBudgets::default();
        let largest = read(&budgets, 100 * MIB).expect("memory is free");
        let mut waiting = Vec::new();
        for _ in 0..10 {
            let mut reservation = Reservation::default();
            let cover = reservation.cover(&budgets, 100 * KIB, None, 16 * MIB);
            cover.now_or_never().expect("memory is free");
            let cover = reservation.cover(&budgets, MIB + 1, None, 16 * MIB);
            assert!(cover.now_or_never().is_none());
            waiting.push(reservation);
        }
        assert!(budgets.medium.available() >= budgets.medium.total() / 2);
        drop((largest, waiting));
    }

    #[tokio::test]
    async fn a_reply_of_unknown_length_reserves_the_most_and_gives_back_the_rest() {
        let budgets = ReplyBudgets::default();
        let mut reservation = Reservation::default();
        for bytes in [KIB, 100 * KIB, 200 * KIB, 3 * MIB, 4 * MIB] {
            let cover = reservation.cover(&budgets, bytes, None, 16 * MIB);
            cover.now_or_never().expect("memory is free");
        }
        assert_eq!(budgets.large.total() - budgets.large.available(), 80 * MIB);
        let memory = reservation.keep(4 * MIB);
        assert_eq!(budgets.medium.available(), budgets.medium.total());
        assert_eq!(budgets.large.total() - budgets.large.available(), 20 * MIB);
        drop(memory);
    }
}
