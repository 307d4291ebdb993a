//! Bounds how many deliveries of a class are unsettled in this process, across connections.
//!
//! After a reconnect, deliveries of the old connection may still be unsettled, and the broker delivers their
//! messages again. So the prefetch of a new channel is the number of permits that those deliveries leave free.
//! Otherwise prefetched messages would wait for a permit until provider calls end, while other workers are idle.
//! The prefetch of a channel cannot change. So once enough old deliveries are settled, a new channel with a larger
//! prefetch replaces the channel.
//!
//! Only deliveries of earlier connections count as old. A busy consumer always has unsettled deliveries of an earlier
//! channel of the same connection. If those counted too, the prefetch would never reach the bound again.

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
    /// How many permits are held.
    held: Arc<AtomicUsize>,
    /// Notified when a permit was released.
    released: Notify,
}

/// The permits of a consumer, as one of its connections uses them.
#[derive(Debug)]
pub(super) struct ConnectionPermits {
    shared: Arc<Shared>,
    /// How many permits deliveries of this connection hold.
    held: Arc<AtomicUsize>,
}

/// The permits of a consumer, as one channel of a connection uses them.
#[derive(Debug)]
pub(super) struct ChannelPermits {
    shared: Arc<Shared>,
    held_by_connection: Arc<AtomicUsize>,
    /// How many permits deliveries of earlier connections held when this channel was opened.
    held_before: usize,
}

/// Allows its holder one unsettled delivery.
#[derive(Debug)]
pub(super) struct DeliveryPermit {
    permit: OwnedSemaphorePermit,
    /// The permit counts for the consumer and for its connection.
    counted: [Counted; 2],
    shared: Arc<Shared>,
}

/// Counts one held permit until this value is dropped.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl DeliveryPermits {
    /// Creates `unacked_max` permits, but at least 1 and at most 65,535. A prefetch of 0 would mean no bound, and a
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

    /// Returns the permits for a new connection.
    pub(super) fn for_connection(&self) -> ConnectionPermits {
        ConnectionPermits {
            shared: Arc::clone(&self.0),
            held: Arc::default(),
        }
    }
}

impl ConnectionPermits {
    /// Returns the permits for a new channel of the connection.
    pub(super) fn for_channel(&self) -> ChannelPermits {
        ChannelPermits {
            shared: Arc::clone(&self.shared),
            held_by_connection: Arc::clone(&self.held),
            held_before: self.shared.held_outside(&self.held),
        }
    }
}

impl ChannelPermits {
    /// Returns the prefetch for the channel. It is at least 1, because a prefetch of 0 would mean no bound.
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

    /// Waits until earlier connections hold at most half of the permits that they held when this channel was opened. So `held_before` at
    /// least halves with each new channel, and a few channels are enough after a reconnect.
    /// Waits forever if earlier connections held none.
    pub(super) async fn wait_until_prefetch_can_grow(&self) {
        if self.held_before == 0 {
            std::future::pending::<()>().await;
        }
        while self.shared.held_outside(&self.held_by_connection) > self.held_before / 2 {
            self.shared.released.notified().await;
        }
    }
}

impl Shared {
    /// Returns how many permits deliveries of other connections hold. `held_by_connection` is the count of this
    /// connection.
    fn held_outside(&self, held_by_connection: &AtomicUsize) -> usize {
        // The connection's count is read first. In the other order, a permit that is released between the two reads
        // would count as a permit of another connection.
        let held_inside = held_by_connection.load(SeqCst);
        self.held.load(SeqCst).saturating_sub(held_inside)
    }
}

impl DeliveryPermit {
    /// Releases the permit.
    pub(super) fn release(self) {
        drop((self.permit, self.counted));
        // `wait_until_prefetch_can_grow` reads the counts, so it is notified after they have changed.
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
        assert!(
            first
                .wait_until_prefetch_can_grow()
                .now_or_never()
                .is_none()
        );
        let mut held = acquire(&first, 4).await;
        assert!(
            first.acquire().now_or_never().is_none(),
            "there is no fifth permit"
        );

        let connection = permits.for_connection();
        let second = connection.for_channel();
        assert_eq!(second.prefetch(), 1, "0 would mean no bound");
        let mut can_grow = pin!(second.wait_until_prefetch_can_grow());
        let mut next = pin!(second.acquire());
        assert!(can_grow.as_mut().now_or_never().is_none());
        assert!(next.as_mut().now_or_never().is_none());
        held.drain(..2).for_each(DeliveryPermit::release);
        assert!(
            can_grow.now_or_never().is_some(),
            "the prefetch can grow although `next` has no permit yet"
        );
        next.await.release();

        let third = connection.for_channel();
        assert_eq!(third.prefetch(), 2);
        let held_by_third = third.acquire().await;
        held.drain(..1).for_each(DeliveryPermit::release);
        assert!(
            third
                .wait_until_prefetch_can_grow()
                .now_or_never()
                .is_some()
        );
        held.drain(..).for_each(DeliveryPermit::release);
        held_by_third.release();
        assert_eq!(permits.for_connection().for_channel().prefetch(), 4);
    }

    #[tokio::test]
    async fn a_busy_consumer_has_its_full_prefetch_again_once_old_connections_hold_no_permits() {
        let permits = DeliveryPermits::new(4);
        let old = acquire(&permits.for_connection().for_channel(), 4).await;
        let connection = permits.for_connection();
        let mut old = old.into_iter();
        old.by_ref().take(2).for_each(DeliveryPermit::release);
        let second = connection.for_channel();
        assert_eq!(second.prefetch(), 2);
        let _held_by_second = acquire(&second, 2).await;
        old.for_each(DeliveryPermit::release);
        assert!(
            second
                .wait_until_prefetch_can_grow()
                .now_or_never()
                .is_some()
        );

        // The second channel's permits are still held, but they do not count, because its connection is the same.
        let third = connection.for_channel();
        assert_eq!(third.prefetch(), 4);
        assert!(
            third
                .wait_until_prefetch_can_grow()
                .now_or_never()
                .is_none(),
            "the prefetch is at its bound"
        );
    }
}
