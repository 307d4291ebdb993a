//! The queue of the embedded engine: wakes in memory, one bounded queue for each class. Wakes are lost when the
//! process ends. The sweeper's first pass after a start wakes every lane that has work.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use forebay_shared::{
    class::Class,
    queue::{Consumer, Delivery, Disposition, Queue, QueueError},
    wake::Wake,
};
use tokio::sync::{Notify, Semaphore};

use super::packed_wake::PackedWake;

/// The most wakes of one class that wait. Further publishes fail. Their jobs' timers are not parked, so the sweeper
/// publishes the wakes again when the timers are due.
pub const QUEUE_CAPACITY: usize = 131_072;

/// The queue in memory.
#[derive(Debug, Default)]
pub(super) struct MemoryQueue {
    interactive: Arc<ClassQueue>,
    batch: Arc<ClassQueue>,
}

#[derive(Debug, Default)]
struct ClassQueue {
    state: Mutex<State>,
    added: Notify,
    closing: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<PackedWake>,
    is_closed: bool,
}

impl MemoryQueue {
    fn class_queue(&self, class: Class) -> &Arc<ClassQueue> {
        match class {
            Class::Interactive => &self.interactive,
            Class::Batch => &self.batch,
        }
    }

    /// Refuses new publishes and ends the consumers.
    pub(super) fn stop(&self) {
        for class in Class::ALL {
            let queue = self.class_queue(class);
            queue.state().is_closed = true;
            queue.closing.notify_waiters();
        }
    }
}

impl ClassQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requeue(&self, wake: &Wake) {
        // The queue may exceed its capacity by the number of unsettled deliveries.
        self.state().waiting.push_front(PackedWake::of(wake));
        self.added.notify_one();
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn publish(&self, wake: &Wake) -> Result<(), QueueError> {
        let queue = self.class_queue(wake.class);
        {
            let mut state = queue.state();
            if state.is_closed {
                return Err(QueueError::Closed);
            }
            if state.waiting.len() >= QUEUE_CAPACITY {
                return Err(QueueError::Full);
            }
            state.waiting.push_back(PackedWake::of(wake));
        }
        queue.added.notify_one();
        Ok(())
    }

    async fn consume(
        &self,
        class: Class,
        unacked_max: usize,
    ) -> Result<Box<dyn Consumer>, QueueError> {
        let queue = Arc::clone(self.class_queue(class));
        if queue.state().is_closed {
            return Err(QueueError::Closed);
        }
        let permits = Arc::new(Semaphore::new(unacked_max.min(Semaphore::MAX_PERMITS)));
        Ok(Box::new(MemoryConsumer {
            class,
            queue,
            permits,
        }))
    }

    async fn depth(&self, class: Class) -> Result<u64, QueueError> {
        let waiting = self.class_queue(class).state().waiting.len();
        Ok(u64::try_from(waiting).unwrap_or(u64::MAX))
    }

    fn survives_restart(&self) -> bool {
        false
    }
}

struct MemoryConsumer {
    class: Class,
    queue: Arc<ClassQueue>,
    /// Each unsettled delivery holds one permit.
    permits: Arc<Semaphore>,
}

impl MemoryConsumer {
    async fn take(&self) -> Option<Delivery> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let mut added = std::pin::pin!(self.queue.added.notified());
        loop {
            // The notification is enabled before the queue is read. Otherwise a wake that is added in between would be
            // missed.
            added.as_mut().enable();
            // There is no await between the `pop_front` and the return, so a dropped call loses no wake.
            let taken = self.queue.state().waiting.pop_front();
            if let Some(wake) = taken.and_then(|wake| wake.unpack(self.class)) {
                let queue = Arc::clone(&self.queue);
                return Some(Delivery::new(wake, move |wake, disposition| {
                    if disposition == Disposition::Requeue {
                        queue.requeue(wake);
                    }
                    drop(permit);
                }));
            }
            added.as_mut().await;
            added.set(self.queue.added.notified());
        }
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let mut closing = std::pin::pin!(self.queue.closing.notified());
        closing.as_mut().enable();
        if self.queue.state().is_closed {
            return None;
        }
        tokio::select! {
            biased;
            () = closing => None,
            delivery = self.take() => delivery,
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        ids::{JobId, TenantId},
        time::TimeMs,
    };

    use super::*;

    #[tokio::test]
    async fn a_requeued_wake_is_delivered_first() {
        let queue = MemoryQueue::default();
        let tenant = TenantId::default();
        let mut jobs = Vec::new();
        for _ in 0..3 {
            let wake = Wake {
                v: Wake::VERSION,
                job: JobId::fresh(&tenant, None),
                tenant: tenant.clone(),
                session: None,
                class: Class::Interactive,
                model: None,
                permit: None,
                admitted_at: TimeMs(1),
                sent_at: TimeMs(1),
                traceparent: None,
            };
            queue.publish(&wake).await.unwrap();
            jobs.push(wake.job);
        }
        let mut consumer = queue.consume(Class::Interactive, 8).await.unwrap();
        let first = consumer.next().await.unwrap();
        assert_eq!(first.wake.job, jobs[0]);
        first.requeue();
        for job in jobs {
            let next = consumer.next().await.unwrap();
            assert_eq!(next.wake.job, job);
            next.ack();
        }
    }
}
