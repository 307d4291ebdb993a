//! Bounds how many deliveries of a class are unsettled in this process, across connections.
//!
//! After a reconnect, deliveries of the old connection may still be unsettled, and the broker delivers their
//! messages again. So a channel prefetches only as many messages as those deliveries leave permits. Otherwise
//! messages would wait here until calls end, while other workers are idle. The prefetch of a channel cannot
//! change, so a new channel with a larger prefetch replaces it once enough old deliveries are settled.
//!
//! Only deliveries of earlier connections count as old. A busy consumer always holds deliveries of an earlier channel
//! of its own connection, so its prefetch would never reach the bound again if they counted.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The permits of one consumer.
#[derive(Clone, Debug)]
pub(super) struct DeliveryPermits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    semaphore: Arc<Semaphore>,
    permits_max: usize,
    /// The permits that are held.
    held: Arc<AtomicUsize>,
    released: Notify,
}

/// The permits of one connection, which come from the consumer's.
#[derive(Debug)]
pub(super) struct ConnectionPermits {
    shared: Arc<Shared>,
    /// The permits of this connection that are held.
    held: Arc<AtomicUsize>,
}

/// The permits of one channel, which come from its connection's.
#[derive(Debug)]
pub(super) struct ChannelPermits {
    shared: Arc<Shared>,
    held_by_connection: Arc<AtomicUsize>,
    /// The permits that earlier connections held when this channel was opened.
    held_before: usize,
}

/// Allows its holder one unsettled delivery.
#[derive(Debug)]
pub(super) struct DeliveryPermit {
    permit: OwnedSemaphorePermit,
    counted: [Counted; 2],
    shared: Arc<Shared>,
}

/// Counts one held permit until it is dropped.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl DeliveryPermits {
    /// `unacked_max` permits: at least 1, because a prefetch of 0 means no bound, and at most 65,535, because a
    /// prefetch has 16 bits.
    pub(super) fn new(unacked_max: usize) -> Self {
        let permits_max = unacked_max.clamp(1, usize::from(u16::MAX));
        Self(Arc::new(Shared {
            semaphore: Arc::new(Semaphore::new(permits_max)),
            permits_max,
            held: Arc::default(),
            released: Notify::new(),
        }))
    }

    /// The permits for a new connection.
    pub(super) fn for_connection(&self) -> ConnectionPermits {
        ConnectionPermits {
            shared: Arc::clone(&self.0),
            held: Arc::default(),
        }
    }
}

impl ConnectionPermits {
    /// The permits for a new channel of the connection.
    pub(super) fn for_channel(&self) -> ChannelPermits {
        ChannelPermits {
            shared: Arc::clone(&self.shared),
            held_by_connection: Arc::clone(&self.held),
            held_before: self.shared.held_outside(&self.held),
        }
    }
}

impl ChannelPermits {
    /// The prefetch of the channel.
    pub(super) fn prefetch(&self) -> u16 {
        let free = (self.shared.permits_max - self.held_before).max(1);
        u16::try_from(free).unwrap_or(u16::MAX)
    }

    /// Waits for a permit.
    pub(super) async fn acquire(&self) -> DeliveryPermit {
        let permit = Arc::clone(&self.shared.semaphore).acquire_owned().await;
        DeliveryPermit {
            permit: permit.expect("this semaphore is never closed"),
            counted: [&self.shared.held, &self.held_by_connection].map(Counted::new),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until earlier connections hold at most half of the permits that they held at the start. Each new channel
    /// halves the number at least, so a few channels are enough after a reconnect.
    pub(super) async fn prefetch_can_grow(&self) {
        if self.held_before == 0 {
            std::future::pending::<()>().await;
        }
        while self.shared.held_outside(&self.held_by_connection) > self.held_before / 2 {
            self.shared.released.notified().await;
        }
    }
}

impl Shared {
    /// The permits that are held outside the connection with this count.
    fn held_outside(&self, held_by_connection: &AtomicUsize) -> usize {
        // The connection's count first: a release in between must not look like a permit of another connection.
        let inside = held_by_connection.load(SeqCst);
        self.held.load(SeqCst).saturating_sub(inside)
    }
}

impl DeliveryPermit {
    /// Releases the permit.
    pub(super) fn release(self) {
        drop((self.permit, self.counted));
        // Last, because the notified task counts at once.
        self.shared.released.notify_one();
    }
}

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::{ChannelPermits, DeliveryPermit, DeliveryPermits};

    async fn acquire(permits: &ChannelPermits, count: usize) -> Vec<DeliveryPermit> {
        let mut held = Vec::new();
        for _ in 0..count {
            held.push(permits.acquire().await);
        }
        held
    }

    #[tokio::test]
    async fn the_prefetch_grows_as_deliveries_of_the_old_connection_are_settled() {
        let permits = DeliveryPermits::new(4);
        let first = permits.for_connection().for_channel();
        assert_eq!(first.prefetch(), 4);
        assert!(first.prefetch_can_grow().now_or_never().is_none());
        let mut held = acquire(&first, 4).await;
        assert!(first.acquire().now_or_never().is_none(), "a fifth");

        let connection = permits.for_connection();
        let second = connection.for_channel();
        assert_eq!(second.prefetch(), 1, "0 would mean no bound");
        let mut can_grow = pin!(second.prefetch_can_grow());
        let mut next = pin!(second.acquire());
        assert!(can_grow.as_mut().now_or_never().is_none());
        assert!(next.as_mut().now_or_never().is_none());
        held.drain(..2).for_each(DeliveryPermit::release);
        assert!(
            can_grow.now_or_never().is_some(),
            "before `next` gets its permit"
        );
        next.await.release();

        let third = connection.for_channel();
        assert_eq!(third.prefetch(), 2);
        let own = third.acquire().await;
        held.drain(..1).for_each(DeliveryPermit::release);
        assert!(third.prefetch_can_grow().now_or_never().is_some());
        held.drain(..).for_each(DeliveryPermit::release);
        own.release();
        assert_eq!(permits.for_connection().for_channel().prefetch(), 4);
    }

    #[tokio::test]
    async fn a_busy_consumer_has_its_whole_prefetch_again_once_the_old_connection_holds_nothing() {
        let permits = DeliveryPermits::new(4);
        let old = acquire(&permits.for_connection().for_channel(), 4).await;
        let connection = permits.for_connection();
        let mut old = old.into_iter();
        old.by_ref().take(2).for_each(DeliveryPermit::release);
        let second = connection.for_channel();
        assert_eq!(second.prefetch(), 2);
        let _own = acquire(&second, 2).await;
        old.for_each(DeliveryPermit::release);
        assert!(second.prefetch_can_grow().now_or_never().is_some());

        // The deliveries of the second channel are still held, and they are not old.
        let third = connection.for_channel();
        assert_eq!(third.prefetch(), 4);
        assert!(third.prefetch_can_grow().now_or_never().is_none(), "done");
    }
}
