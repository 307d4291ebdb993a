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

use crate::gauge::Gauge;
use forebay_shared::{
    class::Class,
    lane::REVISIT_MS,
    queue::{Queue, QueueError},
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
/// While nothing is confirmed, a wake that was not is tried again this often. Otherwise a process that
/// refuses submits for want of confirms, or whose submits are no heads, would publish nothing any more,
/// and never learn that the queue is back. One wake too many does no harm.
const TRY_AGAIN: Duration = Duration::from_secs(1);

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
    gauge: Arc<Gauge>,
}

/// A failure so long ago says nothing of now: this process may have had nothing to publish since, and
/// cannot learn that the queue is well but by trying.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// Whether publishes have failed without one that succeeded.
#[derive(Default)]
struct Health {
    failing: Mutex<Option<Failing>>,
}

/// A row of failures.
#[derive(Clone, Copy)]
struct Failing {
    since: Instant,
    last: Instant,
}

impl Health {
    fn note(&self, confirmed: bool) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *failing = match *failing {
            _ if confirmed => None,
            Some(row) if now.duration_since(row.last) < STALE_AFTER => {
                Some(Failing { last: now, ..row })
            }
            _ => Some(Failing {
                since: now,
                last: now,
            }),
        };
    }

    fn failing_for(&self) -> Duration {
        let failing = *self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match failing {
            Some(row) if row.last.elapsed() < STALE_AFTER => row.since.elapsed(),
            _ => Duration::ZERO,
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
        let handle = Self {
            sender,
            health: Arc::clone(&health),
            gauge: Arc::clone(&gauge),
        };
        let run = WakesLoop {
            receiver,
            health,
            queue,
            store,
            gauge,
        };
        (handle, run)
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

    /// When a head that has waited since `admitted_at` and whose parked timer is due needs no further wake,
    /// the moment to look again: the queue holds one for it already, and merely nobody takes them. A head
    /// that is not so old is woken in any case, since its one wake may have been lost.
    #[must_use]
    pub fn parked_again(&self, class: Class, admitted_at: TimeMs, now: TimeMs) -> Option<TimeMs> {
        let is_old = now.since_ms(admitted_at) >= REVISIT_MS;
        (is_old && self.gauge.queue_holds_all_wakes(class)).then(|| parked(&self.gauge, class, now))
    }

    /// For how long no publish has been confirmed although some were tried, the last of them lately;
    /// zero while all is well.
    #[must_use]
    pub fn unconfirmed_for(&self) -> Duration {
        self.health.failing_for()
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
        let mut unconfirmed = None;
        while self.fill(&mut batch, &mut unconfirmed).await {
            let confirmed = self.publish(&batch).await;
            let mut parks = Vec::new();
            for (asked, confirmed) in batch.drain(..).zip(confirmed) {
                if confirmed {
                    parks.push(self.park(&asked));
                } else {
                    unconfirmed = Some(asked);
                }
            }
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

    /// Waits for what is asked for; if nothing is for a while, takes what was not confirmed last. `false`
    /// when every handle is gone.
    async fn fill(&mut self, batch: &mut Vec<Asked>, unconfirmed: &mut Option<Asked>) -> bool {
        let receive = self.receiver.recv_many(batch, BATCH_MAX);
        let received = match unconfirmed {
            None => receive.await,
            Some(_) => timeout(TRY_AGAIN, receive).await.unwrap_or_else(|_quiet| {
                batch.extend(unconfirmed.take());
                batch.len()
            }),
        };
        // What is tried now tells as much.
        *unconfirmed = None;
        received > 0
    }

    async fn publish(&self, batch: &[Asked]) -> Vec<bool> {
        join_all(batch.iter().map(|asked| async {
            let result = timeout(CONFIRM_TIMEOUT, self.queue.publish(&asked.wake)).await;
            let confirmed = matches!(result, Ok(Ok(())));
            // A queue that is full of work is well; the timers see to what it has no room for.
            if !matches!(result, Ok(Err(QueueError::Full))) {
                self.health.note(confirmed);
            }
            if !confirmed {
                tracing::debug!(job_id = %asked.wake.job, "a wake was not confirmed");
            }
            confirmed
        }))
        .await
    }

    fn park(&self, asked: &Asked) -> TimerMove {
        let parked = parked(&self.gauge, asked.wake.class, self.store.now());
        TimerMove {
            job: asked.wake.job,
            from: asked.timer,
            to: parked.min(asked.deadline),
        }
    }
}

/// When a head whose wake is in the queue is looked at again: far enough off that a long queue does not
/// make its timer fire, near enough that the loss of the message costs little.
fn parked(gauge: &Gauge, class: Class, now: TimeMs) -> TimeMs {
    let wait_ms = gauge.expected_wait_ms(class).saturating_mul(3);
    now.plus_ms(wait_ms.max(REVISIT_MS))
}
