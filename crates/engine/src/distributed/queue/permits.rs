//! Bounds how many deliveries of a class are unsettled in this process, across connections.
//!
//! After a reconnect, deliveries of the old connection may still be unsettled, and the broker delivers their
//! messages again. So a new channel prefetches only as many messages as there are free permits. Otherwise
//! messages would wait here until calls end, while other workers are idle. The prefetch of a channel cannot
//! change, so a new channel with a larger prefetch replaces it once enough old deliveries are settled.

use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The permits of one consumer.
#[derive(Clone, Debug)]
pub(super) struct DeliveryPermits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    semaphore: Arc<Semaphore>,
    permits_max: usize,
    /// Each held permit has a clone, so the reference count shows how many permits are held.
    held: Arc<()>,
    released: Notify,
}

/// The permits of one channel, which come from the consumer's.
#[derive(Debug)]
pub(super) struct ChannelPermits {
    shared: Arc<Shared>,
    /// The number of permits that earlier channels held when this channel was opened.
    held_before: usize,
    /// Each held permit of this channel has a clone.
    held: Arc<()>,
}

/// Allows its holder one unsettled delivery.
#[derive(Debug)]
pub(super) struct DeliveryPermit {
    permit: OwnedSemaphorePermit,
    counted: [Arc<()>; 2],
    shared: Arc<Shared>,
}

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

    /// The permits for a new channel.
    pub(super) fn for_channel(&self) -> ChannelPermits {
        ChannelPermits {
            shared: Arc::clone(&self.0),
            held_before: count(&self.0.held),
            held: Arc::default(),
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
            counted: [&self.shared.held, &self.held].map(Arc::clone),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until earlier channels hold at most half of the permits that they held at the start. Each new channel
    /// halves the number at least, so a few channels are enough after a reconnect.
    pub(super) async fn prefetch_can_grow(&self) {
        if self.held_before == 0 {
            std::future::pending::<()>().await;
        }
        while self.held_by_earlier_channels() > self.held_before / 2 {
            self.shared.released.notified().await;
        }
    }

    fn held_by_earlier_channels(&self) -> usize {
        count(&self.shared.held).saturating_sub(count(&self.held))
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

fn count(held: &Arc<()>) -> usize {
    Arc::strong_count(held) - 1
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::{DeliveryPermit, DeliveryPermits};

    #[tokio::test]
    async fn the_prefetch_grows_as_earlier_deliveries_are_settled() {
        let permits = DeliveryPermits::new(4);
        let first = permits.for_channel();
        assert_eq!(first.prefetch(), 4);
        assert!(first.prefetch_can_grow().now_or_never().is_none());
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(first.acquire().await);
        }
        assert!(first.acquire().now_or_never().is_none(), "a fifth");

        let second = permits.for_channel();
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

        let third = permits.for_channel();
        assert_eq!(third.prefetch(), 2);
        let own = third.acquire().await;
        held.drain(..1).for_each(DeliveryPermit::release);
        assert!(third.prefetch_can_grow().now_or_never().is_some());
        held.drain(..).for_each(DeliveryPermit::release);
        own.release();
        assert_eq!(permits.for_channel().prefetch(), 4);
    }
}
