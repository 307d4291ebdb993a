//! The queue of the embedded engine: wakes in memory, one bounded queue for each class. Wakes are lost when the
//! process ends. The sweeper's first pass after a start wakes every lane that has work.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use forebay_shared::{
    class::Class,
    ids::JobId,
    queue::{Consumer, Delivery, Disposition, Queue, QueueError, QueueSpace},
    wake::Wake,
};
use tokio::sync::{Notify, Semaphore};

use super::packed_wake::PackedWake;

/// The most wakes of one class that wait. Further publishes fail. The sweeper wakes their jobs when half of the queue is free.
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
    /// How many wakes of each job wait.
    wakes_of: HashMap<JobId, u32>,
    is_closed: bool,
}

impl State {
    fn push_back(&mut self, wake: &Wake) {
        *self.wakes_of.entry(wake.job).or_default() += 1;
        self.waiting.push_back(PackedWake::of(wake));
    }

    fn push_front(&mut self, wake: &Wake) {
        *self.wakes_of.entry(wake.job).or_default() += 1;
        self.waiting.push_front(PackedWake::of(wake));
    }

    fn pop_front(&mut self) -> Option<PackedWake> {
        let wake = self.waiting.pop_front()?;
        if let Entry::Occupied(mut count) = self.wakes_of.entry(wake.job()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(wake)
    }
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
        self.state().push_front(wake);
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
            state.push_back(wake);
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

    fn keeps_lane_copies(&self) -> bool {
        false
    }

    fn space(&self, class: Class) -> Option<QueueSpace> {
        let waiting = self.class_queue(class).state().waiting.len();
        Some(QueueSpace {
            waiting,
            free: QUEUE_CAPACITY.saturating_sub(waiting),
        })
    }

    fn has_wake(&self, class: Class, job: JobId) -> bool {
        self.class_queue(class).state().wakes_of.contains_key(&job)
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
            let taken = self.queue.state().pop_front();
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

    fn new_wake() -> Wake {
        let tenant = TenantId::default();
        Wake {
            v: Wake::VERSION,
            job: JobId::fresh(&tenant, None),
            tenant,
            session: None,
            class: Class::Interactive,
            model: None,
            permit: None,
            admitted_at: TimeMs(1),
            sent_at: TimeMs(1),
            lane_copy: None,
            traceparent: None,
        }
    }

    #[tokio::test]
    async fn space_and_has_wake_follow_the_waiting_wakes() {
        let (queue, class) = (MemoryQueue::default(), Class::Interactive);
        let waiting = |queue: &MemoryQueue| {
            let space = queue.space(class).unwrap();
            assert_eq!(space.waiting + space.free, QUEUE_CAPACITY);
            space.waiting
        };
        let wake = new_wake();
        for published in 0..2 {
            assert_eq!(queue.has_wake(class, wake.job), published > 0);
            assert_eq!(waiting(&queue), published);
            queue.publish(&wake).await.unwrap();
        }
        let mut consumer = queue.consume(class, 8).await.unwrap();
        let first = consumer.next().await.unwrap();
        assert!(queue.has_wake(class, wake.job), "a second wake waits");
        let second = consumer.next().await.unwrap();
        assert!(!queue.has_wake(class, wake.job));
        second.requeue();
        assert!(queue.has_wake(class, wake.job));
        assert!(!queue.has_wake(Class::Batch, wake.job));
        consumer.next().await.unwrap().ack();
        first.ack();
        assert!(!queue.has_wake(class, wake.job));
        assert_eq!(waiting(&queue), 0);
    }

    #[tokio::test]
    async fn a_requeued_wake_is_delivered_first() {
        let queue = MemoryQueue::default();
        let mut jobs = Vec::new();
        for _ in 0..3 {
            let wake = new_wake();
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
