//! The handle [`Wakes`], with which other parts of the process request wakes.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    health::PublishHealth, parking::parked_until, parks::Parks, publisher::WakePublisher,
    request::WakeRequest, surplus::Surplus,
};
use crate::gauge::Gauge;
use forebay_shared::{class::Class, lane::REVISIT_MS, queue::Queue, store::Store, time::TimeMs};

/// The most requests that wait to be published.
const WAITING_MAX: usize = 65_536;

/// A wake gets no copy of its lane while this many requests wait, or more. So the copies take at most 8 MiB.
const WAITING_WITH_COPY_MAX: usize = 8_192;

/// Requests wakes from a [`WakePublisher`]. Cheap to clone.
#[derive(Clone)]
pub struct Wakes {
    requests: mpsc::Sender<WakeRequest>,
    queue: Arc<dyn Queue>,
    health: Arc<PublishHealth>,
    surplus: Arc<Surplus>,
    gauge: Arc<Gauge>,
    parks: Arc<Parks>,
}

impl Wakes {
    /// Creates the handle, and the loop that the caller must run.
    #[must_use]
    pub fn new(
        queue: Arc<dyn Queue>,
        store: Arc<dyn Store>,
        gauge: Arc<Gauge>,
    ) -> (Self, WakePublisher) {
        let (sender, requests) = mpsc::channel(WAITING_MAX);
        let health = Arc::new(PublishHealth::default());
        let surplus = Arc::new(Surplus::default());
        let parks = Arc::new(Parks::new(Arc::clone(&store)));
        let handle = Self {
            requests: sender,
            queue: Arc::clone(&queue),
            health: Arc::clone(&health),
            surplus: Arc::clone(&surplus),
            gauge: Arc::clone(&gauge),
            parks: Arc::clone(&parks),
        };
        let publisher = WakePublisher {
            requests,
            health,
            surplus,
            queue,
            store,
            gauge,
            parks,
        };
        (handle, publisher)
    }

    /// Whether a wake that is requested now should have a copy of its lane.
    #[must_use]
    pub fn want_lane_copies(&self) -> bool {
        let waiting = WAITING_MAX - self.requests.capacity();
        waiting < WAITING_WITH_COPY_MAX && self.queue.keeps_lane_copies()
    }

    /// Requests a wake. Never waits. If the buffer is full, the request is dropped, and the sweeper wakes the head later.
    pub fn request(&self, request: WakeRequest) {
        if self.requests.try_send(request).is_err() {
            let is_confirmed = false;
            self.health.record(is_confirmed);
        }
    }

    /// The next timer of a ready head that must not be woken now; `None` if it must be woken.
    ///
    /// - The wake of the head is still in the queue, and no worker takes wakes. Such a head needs no other wake. But a head
    ///   admitted less than [`REVISIT_MS`] ago is woken, because its only wake may have been lost.
    /// - The queue is full. The sweeper wakes the head when the queue has space.
    #[must_use]
    pub fn next_timer_without_wake(
        &self,
        class: Class,
        admitted_at: TimeMs,
        now: TimeMs,
    ) -> Option<TimeMs> {
        let is_old = now.since_ms(admitted_at) >= REVISIT_MS;
        let needs_no_wake =
            self.has_surplus(class) || (is_old && self.gauge.queue_holds_all_wakes(class));
        needs_no_wake.then(|| parked_until(&self.gauge, class, now))
    }

    /// Whether ready heads of the class may have no wake, because the queue was full. Then only the sweeper's wakes for these
    /// heads are published.
    #[must_use]
    pub fn has_surplus(&self, class: Class) -> bool {
        self.surplus.exists(class) && self.queue.space(class).is_some()
    }

    /// Records that ready heads of the class may have no wake.
    pub fn record_surplus(&self, class: Class) {
        self.surplus.record(class);
    }

    /// Lets all wakes of the class be published again. The caller then wakes the ready heads that have no wake.
    pub fn clear_surplus(&self, class: Class) {
        self.surplus.clear(class);
    }

    /// Parks the timers that are not parked yet. A process calls this when its [`WakePublisher`] has ended before its handles.
    pub async fn park_rest(&self) {
        self.parks.flush().await;
    }

    /// For how long no publish has been confirmed, although the process has tried to publish lately. Zero while publishes
    /// succeed.
    #[must_use]
    pub fn unconfirmed_for(&self) -> Duration {
        self.health.unconfirmed_for()
    }
}
