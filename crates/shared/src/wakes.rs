//! Publishes wakes in the background and parks the timers of those that were confirmed.
//!
//! Nothing waits for it: a wake that is lost here, or never confirmed, leaves its timer where it is,
//! and the sweeper asks again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    gauge::Gauge,
    lane::REVISIT_MS,
    queue::Queue,
    store::{Store, TimerMove},
    time::TimeMs,
    wake::Wake,
};

/// The most wakes that wait to be published.
const WAITING_MAX: usize = 65_536;
/// The most wakes under way at a time.
const BATCH_MAX: usize = 512;
/// A publish that is not confirmed within this time counts as lost.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

struct Asked {
    wake: Wake,
    timer: TimeMs,
    deadline: TimeMs,
}

/// The handle to the loop. Cheap to clone.
#[derive(Clone)]
pub struct Wakes {
    sender: mpsc::Sender<Asked>,
    health: Arc<Health>,
}

/// Since when publishes have failed without one that succeeded.
#[derive(Default)]
struct Health {
    failing_since: Mutex<Option<Instant>>,
}

impl Health {
    fn note(&self, confirmed: bool) {
        let mut since = self
            .failing_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if confirmed {
            *since = None;
        } else if since.is_none() {
            *since = Some(Instant::now());
        }
    }
}

impl Wakes {
    /// The handle, and the loop that somebody has to run.
    #[must_use]
    pub fn new(
        queue: Arc<dyn Queue>,
        store: Arc<dyn Store>,
        gauge: Arc<Gauge>,
    ) -> (Self, WakesLoop) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let health = Arc::new(Health::default());
        let run = WakesLoop {
            receiver,
            health: Arc::clone(&health),
            queue,
            store,
            gauge,
        };
        (Self { sender, health }, run)
    }

    /// Asks for a wake of a head whose timer is `timer`. Never waits; what finds no room is left to
    /// the sweeper.
    pub fn send(&self, wake: Wake, timer: TimeMs, deadline: TimeMs) {
        if self
            .sender
            .try_send(Asked {
                wake,
                timer,
                deadline,
            })
            .is_err()
        {
            self.health.note(false);
        }
    }

    /// For how long no publish has been confirmed although some were tried; zero while all is well.
    #[must_use]
    pub fn unconfirmed_for(&self) -> Duration {
        let since = self
            .health
            .failing_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// The loop behind [`Wakes`]; ends when every handle is gone.
pub struct WakesLoop {
    receiver: mpsc::Receiver<Asked>,
    health: Arc<Health>,
    queue: Arc<dyn Queue>,
    store: Arc<dyn Store>,
    gauge: Arc<Gauge>,
}

impl WakesLoop {
    /// Publishes what is asked for, batch by batch.
    pub async fn run(mut self) {
        // Parking lags behind by at most one batch, so that the next publishes do not wait for it.
        let mut parking: Option<tokio::task::JoinHandle<()>> = None;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.receiver.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let confirmed = self.publish(&batch).await;
            let parks: Vec<TimerMove> = batch
                .drain(..)
                .zip(confirmed)
                .filter_map(|(asked, confirmed)| confirmed.then(|| self.park(&asked)))
                .collect();
            if let Some(parking) = parking.take() {
                let _ = parking.await;
            }
            if !parks.is_empty() {
                let store = Arc::clone(&self.store);
                parking = Some(tokio::spawn(async move {
                    if let Err(error) = store.move_timers(&parks).await {
                        // They fire early, and some heads are woken twice: a waste, no harm.
                        tracing::debug!(%error, timers = parks.len(), "timers were not parked");
                    }
                }));
            }
        }
        if let Some(parking) = parking {
            let _ = parking.await;
        }
    }

    async fn publish(&self, batch: &[Asked]) -> Vec<bool> {
        join_all(batch.iter().map(|asked| async {
            let result = timeout(CONFIRM_TIMEOUT, self.queue.publish(&asked.wake)).await;
            let confirmed = matches!(result, Ok(Ok(())));
            self.health.note(confirmed);
            if !confirmed {
                tracing::debug!(job_id = %asked.wake.job, "a wake was not confirmed");
            }
            confirmed
        }))
        .await
    }

    /// Far enough off that a long queue does not make it fire, near enough that the loss of the
    /// message costs little.
    fn park(&self, asked: &Asked) -> TimerMove {
        let wait_ms = self
            .gauge
            .expected_wait_ms(asked.wake.class)
            .saturating_mul(3);
        let parked = self.store.now().plus_ms(wait_ms.max(REVISIT_MS));
        TimerMove {
            job: asked.wake.job,
            from: asked.timer,
            to: parked.min(asked.deadline),
        }
    }
}
