//! How many deliveries a consumer's user may hold, over all generations.
//!
//! After a reconnect the user may still hold what came before, and the broker delivers all of it again.
//! So the new generation prefetches only as much as there is room for, or messages that others could work
//! on would wait here for as long as calls take; and more of it as what is held from before gets settled.

use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places of one consumer.
#[derive(Debug)]
pub(super) struct Slots {
    places: Arc<Semaphore>,
    places_max: usize,
    freed: Arc<Notify>,
}

/// Tells the deliveries of one generation from those of others: who holds one holds a copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Generation(Arc<()>);

/// A place that is taken.
#[derive(Debug)]
pub(super) struct Slot {
    place: OwnedSemaphorePermit,
    generation: Generation,
    freed: Arc<Notify>,
}

impl Slots {
    /// AMQP counts a prefetch in 16 bits, and 0 would mean that there is no bound.
    pub(super) fn new(unacked_max: usize) -> Self {
        let places_max = unacked_max.clamp(1, usize::from(u16::MAX));
        Self {
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            freed: Arc::default(),
        }
    }

    /// Takes a place, when there is one.
    pub(super) async fn take(&self, generation: &Generation) -> Slot {
        let place = Arc::clone(&self.places).acquire_owned().await;
        Slot {
            place: place.expect("nobody closes this semaphore"),
            generation: generation.clone(),
            freed: Arc::clone(&self.freed),
        }
    }

    /// How many places are taken by deliveries of other generations than this one.
    pub(super) fn held_before(&self, generation: &Generation) -> usize {
        let taken = self.places_max - self.places.available_permits();
        let own = Arc::strong_count(&generation.0) - 1;
        taken.saturating_sub(own)
    }

    /// How much a generation may prefetch while so many places are taken by others.
    pub(super) fn prefetch(&self, held_before: usize) -> u16 {
        let room = self.places_max.saturating_sub(held_before).max(1);
        u16::try_from(room).unwrap_or(u16::MAX)
    }

    /// Waits until half of what was held from before is settled: so the prefetch changes a few times
    /// after a reconnect, not at each ack.
    pub(super) async fn halved(&self, held_before: usize, generation: &Generation) {
        if held_before == 0 {
            std::future::pending::<()>().await;
        }
        while self.held_before(generation) > held_before / 2 {
            self.freed.notified().await;
        }
    }
}

impl Slot {
    /// Gives the place back.
    pub(super) fn free(self) {
        let Self {
            place,
            generation,
            freed,
        } = self;
        drop((place, generation));
        // Last, for whoever is told looks at once.
        freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::{Generation, Slots};

    #[tokio::test]
    async fn what_is_held_from_before_leaves_less_to_prefetch() {
        let slots = Slots::new(4);
        let before = Generation::default();
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(slots.take(&before).await);
        }
        assert!(slots.take(&before).now_or_never().is_none(), "no fifth");

        let now = Generation::default();
        assert_eq!(slots.held_before(&now), 4);
        assert_eq!(slots.prefetch(4), 1, "never 0, which would be no bound");
        assert!(slots.halved(4, &now).now_or_never().is_none());
        held.drain(..2).for_each(super::Slot::free);
        assert!(slots.halved(4, &now).now_or_never().is_some());
        assert_eq!(slots.prefetch(slots.held_before(&now)), 2);

        // Its own count for nothing.
        let own = slots.take(&now).await;
        assert_eq!(slots.held_before(&now), 2);
        held.drain(..).for_each(super::Slot::free);
        assert!(slots.halved(2, &now).now_or_never().is_some());
        assert_eq!(slots.prefetch(slots.held_before(&now)), 4);
        assert!(slots.halved(0, &now).now_or_never().is_none(), "no more");
        own.free();
    }
}
