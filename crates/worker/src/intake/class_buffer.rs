//! Buffers the wakes of one class until slots are free.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use forebay_runtime::worker_health::{HeldWake, WorkerHealth};
use forebay_shared::{
    class::Class,
    queue::{Delivery, Queue, QueueError},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use crate::in_flight::InFlightJobs;

/// How many interactive wakes are buffered in addition to the next one. Without these, batch jobs would get most of several
/// slots that become free at once.
const INTERACTIVE_BUFFERED: usize = 32;
/// How long the queue may take to deliver the next wake after an acknowledgement: a round trip to the broker.
const DELIVERY_TIME_MAX: Duration = Duration::from_millis(25);
/// The delay before a consumer that has failed or ended is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// A wake that waits for a slot.
pub(super) struct BufferedWake {
    pub(super) delivery: Delivery,
    /// Counts the wake for the health check.
    pub(super) held: HeldWake,
}

/// The wakes of one class that wait for a slot.
pub(super) struct ClassBuffer {
    class: Class,
    health: WorkerHealth,
    /// `None` while no wakes are consumed.
    consumer: Option<ConsumerTask>,
    /// The wake that gets the next slot of the class.
    next: Option<BufferedWake>,
    /// When `next` was filled.
    next_since: Instant,
    /// The wakes that came during earlier attempts at their jobs. They go before the wakes of the consumer.
    missed: VecDeque<BufferedWake>,
    /// Until this time the queue may still deliver the next wake. So an empty buffer does not yet mean that no job of the
    /// class waits. `None` once the time has passed.
    expected_until: Option<Instant>,
}

/// A task that consumes wakes. Dropping this ends the task and requeues the wakes that it holds.
struct ConsumerTask {
    wakes: mpsc::Receiver<BufferedWake>,
    _task: AbortOnDropHandle<()>,
}

impl ClassBuffer {
    /// An empty buffer that does not consume.
    pub(super) fn new(class: Class, health: WorkerHealth) -> Self {
        Self {
            class,
            health,
            consumer: None,
            next: None,
            next_since: Instant::now(),
            missed: VecDeque::new(),
            expected_until: None,
        }
    }

    /// Whether a wake waits for a slot.
    pub(super) const fn has_wake(&self) -> bool {
        self.next.is_some()
    }

    /// Whether the buffer is empty but the queue may be about to deliver a wake.
    pub(super) const fn expects_wake(&self) -> bool {
        self.next.is_none() && self.consumer.is_some() && self.expected_until.is_some()
    }

    /// Whether the buffer consumes wakes from the queue.
    pub(super) const fn is_consuming(&self) -> bool {
        self.consumer.is_some()
    }

    /// Records that a wake was acknowledged, so that the queue may deliver the next wake.
    pub(super) fn expect_next(&mut self) {
        self.expected_until = Some(Instant::now() + DELIVERY_TIME_MAX);
    }

    /// Takes the wake that gets the next slot.
    pub(super) const fn take(&mut self) -> Option<BufferedWake> {
        self.next.take()
    }

    /// Adds a wake that came during an earlier attempt at its job.
    pub(super) fn add_missed(&mut self, wake: Delivery) {
        self.missed.push_back(BufferedWake {
            delivery: wake,
            held: self.health.hold_wake(),
        });
    }

    /// Fills the buffer if a wake is ready.
    pub(super) fn refill(&mut self) {
        if self.next.is_some() {
            return;
        }
        let consumer = self.consumer.as_mut();
        let next = self
            .missed
            .pop_front()
            .or_else(|| consumer.and_then(|consumer| consumer.wakes.try_recv().ok()));
        if let Some(next) = next {
            self.next = Some(next);
            self.next_since = Instant::now();
        }
    }

    /// Waits until a wake fills the empty buffer, until an expected wake is overdue, or until the consumer ends. Never
    /// returns if the buffer has a wake or does not consume. Cancel-safe.
    pub(super) async fn fill(&mut self) {
        let Some(consumer) = self.consumer.as_mut().filter(|_| self.next.is_none()) else {
            return std::future::pending().await;
        };
        let next = consumer.wakes.recv();
        let next = match self.expected_until {
            None => next.await,
            Some(until) => match timeout_at(until, next).await {
                Ok(next) => next,
                Err(_) => {
                    self.expected_until = None;
                    return;
                }
            },
        };
        self.next = next;
        self.next_since = Instant::now();
        if self.next.is_none() {
            // The consumer has ended. The intake's next check starts a new one.
            self.consumer = None;
        }
    }

    /// Starts to consume, unless the buffer already consumes.
    pub(super) fn start_consuming(&mut self, queue: Arc<dyn Queue>, unacked_max: usize) {
        if self.consumer.is_none() {
            let capacity = match self.class {
                Class::Interactive => INTERACTIVE_BUFFERED,
                Class::Batch => 1,
            };
            let (sender, wakes) = mpsc::channel(capacity);
            let task = tokio::spawn(consume(
                queue,
                self.class,
                unacked_max,
                self.health.clone(),
                sender,
            ));
            self.consumer = Some(ConsumerTask {
                wakes,
                _task: AbortOnDropHandle::new(task),
            });
            self.expect_next();
        }
    }

    /// Stops consuming. All buffered wakes are dropped, which requeues them.
    pub(super) fn stop_consuming(&mut self) {
        self.consumer = None;
        self.next = None;
        self.missed.clear();
    }

    /// Acknowledges the next wake if its job is in flight. The jobs in flight keep the wake until the attempt has ended.
    pub(super) fn set_aside(&mut self, in_flight: &InFlightJobs) {
        let is_in_flight = |next: &mut BufferedWake| in_flight.keep_wake(&next.delivery.wake);
        if let Some(kept) = self.next.take_if(is_in_flight) {
            kept.delivery.ack();
        }
    }

    /// Requeues all buffered wakes if the next one has waited for `max`.
    pub(super) fn requeue_if_waiting_for(&mut self, max: Duration) {
        if self.next_since.elapsed() >= max
            && let Some(next) = self.next.take()
        {
            next.delivery.requeue();
            self.missed.clear();
            while let Some(Ok(buffered)) = self
                .consumer
                .as_mut()
                .map(|consumer| consumer.wakes.try_recv())
            {
                buffered.delivery.requeue();
            }
        }
    }
}

/// Sends the wakes of a class to `wakes`.
///
/// This runs in its own task, because the intake's `select!` would drop the call of [`Queue::consume`] at each other event and
/// begin it again.
async fn consume(
    queue: Arc<dyn Queue>,
    class: Class,
    unacked_max: usize,
    health: WorkerHealth,
    wakes: mpsc::Sender<BufferedWake>,
) {
    loop {
        match queue.consume(class, unacked_max).await {
            Ok(mut consumer) => {
                while let Ok(permit) = wakes.reserve().await {
                    let Some(delivery) = consumer.next().await else {
                        break;
                    };
                    permit.send(BufferedWake {
                        delivery,
                        held: health.hold_wake(),
                    });
                }
            }
            // The queue closes when the process shuts down, so this is not worth a log line.
            Err(QueueError::Closed) => {}
            Err(error) => tracing::warn!(
                %class,
                %error,
                "the worker cannot receive jobs of a class from the queue; trying again"
            ),
        }
        sleep(RESTART_AFTER).await;
    }
}
