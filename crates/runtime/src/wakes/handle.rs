//! The handle [`Wakes`], with which other parts of the process request wakes.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    health::PublishHealth, parking::parked_until, publisher::WakePublisher, request::WakeRequest,
};
use crate::gauge::Gauge;
use forebay_shared::{class::Class, lane::REVISIT_MS, queue::Queue, store::Store, time::TimeMs};

/// The most requests that wait to be published.
const WAITING_MAX: usize = 65_536;

/// Requests wakes from a [`WakePublisher`]. Cheap to clone.
#[derive(Clone)]
pub struct Wakes {
    requests: mpsc::Sender<WakeRequest>,
    health: Arc<PublishHealth>,
    gauge: Arc<Gauge>,
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
        let handle = Self {
            requests: sender,
            health: Arc::clone(&health),
            gauge: Arc::clone(&gauge),
        };
        let publisher = WakePublisher {
            requests,
            health,
            queue,
            store,
            gauge,
        };
        (handle, publisher)
    }

    /// Requests a wake. Never waits. If the buffer is full, the request is dropped, and the sweeper wakes the head later.
    pub fn request(&self, request: WakeRequest) {
        if self.requests.try_send(request).is_err() {
            self.health.record(false);
        }
    }

    /// The next timer of a due head whose wake is still in the queue while no worker takes wakes. Such a head needs no
    /// other wake. `None` if the head must be woken. A head admitted less than [`REVISIT_MS`] ago is always woken,
    /// because its only wake may have been lost.
    #[must_use]
    pub fn next_timer_if_queued(
        &self,
        class: Class,
        admitted_at: TimeMs,
        now: TimeMs,
    ) -> Option<TimeMs> {
        let is_old = now.since_ms(admitted_at) >= REVISIT_MS;
        (is_old && self.gauge.queue_holds_all_wakes(class))
            .then(|| parked_until(&self.gauge, class, now))
    }

    /// For how long no publish has been confirmed, although the process has tried to publish lately. Zero while publishes
    /// succeed.
    #[must_use]
    pub fn unconfirmed_for(&self) -> Duration {
        self.health.unconfirmed_for()
    }
}
