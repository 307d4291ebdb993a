//! Takes wakes from the queue and starts attempts while slots are free.
//!
//! The intake buffers a few wakes of each class, more of them interactive. A buffered wake shows that a job of its class
//! waits. [`Slots`] decides which class gets a free slot. While this process cannot reach the store, the intake takes no
//! wakes and requeues the buffered ones.

mod class_buffer;

use std::{sync::Arc, time::Duration};

use forebay_shared::{class::Class, queue::Delivery};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::{
    attempt,
    slot_guard::SlotGuard,
    slots::{Slots, Waiting},
    worker_context::WorkerContext,
};
use class_buffer::{BufferedWake, ClassBuffer};

/// How often the intake checks that the process reaches the store and that no wake is buffered too long.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// How long a wake may wait for a slot before it is requeued. Another worker may have a free slot.
const BUFFERED_MAX: Duration = Duration::from_secs(1);

/// Takes wakes and starts attempts.
pub(crate) struct Intake {
    worker: Arc<WorkerContext>,
    slots: Slots,
    interactive: ClassBuffer,
    batch: ClassBuffer,
    /// Each slot guard has a clone of this sender, which also keeps `freed` open.
    freed_sender: mpsc::UnboundedSender<Class>,
    /// The classes of the slots that became free, at most one message for each slot.
    freed: mpsc::UnboundedReceiver<Class>,
    /// The wakes that came during attempts at their jobs. Each comes once its attempt has ended.
    missed_wakes: mpsc::UnboundedReceiver<Delivery>,
}

impl Intake {
    pub(crate) fn new(
        worker: Arc<WorkerContext>,
        missed_wakes: mpsc::UnboundedReceiver<Delivery>,
    ) -> Self {
        let (freed_sender, freed) = mpsc::unbounded_channel();
        let health = worker.member.worker_health.clone();
        Self {
            slots: Slots::new(worker.settings.concurrency),
            interactive: ClassBuffer::new(Class::Interactive, health.clone()),
            batch: ClassBuffer::new(Class::Batch, health),
            worker,
            freed_sender,
            freed,
            missed_wakes,
        }
    }

    /// Takes wakes until the worker's `stop` is cancelled. Buffered wakes are then requeued.
    pub(crate) async fn run(mut self) {
        let mut check = interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.start_attempts();
            tokio::select! {
                () = self.worker.stop.cancelled() => break,
                Some(class) = self.freed.recv() => {
                    self.slots.free(class);
                    self.buffer(class).expect_next();
                }
                Some(wake) = self.missed_wakes.recv() => self.buffer(wake.wake.class).add_missed(wake),
                () = self.interactive.fill() => {}
                () = self.batch.fill() => {}
                _ = check.tick() => {
                    self.worker.member.worker_health.record_intake();
                    self.check();
                }
            }
        }
    }

    /// Starts an attempt for each buffered wake that gets a slot.
    fn start_attempts(&mut self) {
        for buffer in [&mut self.interactive, &mut self.batch] {
            buffer.refill();
            buffer.set_aside(&self.worker.in_flight);
        }
        while let Some(class) = self.slots.next(self.waiting()) {
            if !self.worker.member.presence.is_current() {
                self.pause();
                return;
            }
            let buffer = self.buffer(class);
            let Some(buffered) = buffer.take() else {
                return;
            };
            buffer.refill();
            let settings = &self.worker.settings;
            if settings.drops_wakes {
                // The wake is neither acknowledged nor requeued, as if this worker were wedged.
                std::mem::forget(buffered);
                continue;
            }
            let BufferedWake { delivery, held } = buffered;
            if settings.loses_wakes {
                // As if the delivery had not reached the worker.
                std::mem::forget(delivery);
                continue;
            }
            let Some(in_flight) = self.worker.in_flight.insert(&delivery.wake) else {
                delivery.ack();
                self.worker.member.worker_health.record_handled_wake();
                continue;
            };
            self.slots.take(class);
            let used = self.worker.member.worker_health.use_slot();
            let slot = SlotGuard::new(class, self.freed_sender.clone(), used);
            let attempt = attempt::run(Arc::clone(&self.worker), delivery, held, in_flight, slot);
            let abort = self.worker.abort_attempts.clone();
            self.worker
                .attempts
                .spawn(abort.run_until_cancelled_owned(attempt));
        }
    }

    fn waiting(&self) -> Waiting {
        Waiting {
            has_interactive: self.interactive.has_wake(),
            has_batch: self.batch.has_wake(),
            expects_interactive: self.interactive.expects_wake(),
        }
    }

    const fn buffer(&mut self, class: Class) -> &mut ClassBuffer {
        match class {
            Class::Interactive => &mut self.interactive,
            Class::Batch => &mut self.batch,
        }
    }

    /// Pauses if the process cannot reach the store. Otherwise consumes, and requeues wakes that are buffered for too long.
    fn check(&mut self) {
        if !self.worker.member.presence.is_current() {
            self.pause();
            return;
        }
        for class in Class::ALL {
            let unacked_max = self.slots.unacked_max(class);
            let queue = Arc::clone(&self.worker.member.queue);
            let buffer = self.buffer(class);
            buffer.start_consuming(queue, unacked_max);
            buffer.requeue_if_waiting_for(BUFFERED_MAX);
        }
    }

    /// Stops consuming, and requeues the buffered wakes. Without the store this worker cannot claim a job, but another worker may.
    fn pause(&mut self) {
        if self.interactive.is_consuming() || self.batch.is_consuming() {
            tracing::warn!(
                "this process cannot reach the store: the worker takes no jobs until it can"
            );
        }
        self.interactive.stop_consuming();
        self.batch.stop_consuming();
    }
}
