//! The queue: wakes in memory, one bounded line for each class. They die with the process, and the
//! sweeper's first pass after a start wakes again what has work.

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

use super::packed::Packed;

/// Wakes of one class that wait at most. One that finds no room counts as unconfirmed, so its timer
/// stands and the sweeper sends it again.
pub const QUEUE_CAPACITY: usize = 131_072;

/// The queue of this process.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    interactive: Arc<Line>,
    batch: Arc<Line>,
}

#[derive(Debug, Default)]
struct Line {
    state: Mutex<State>,
    added: Notify,
    closing: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Packed>,
    closed: bool,
}

impl Wakes {
    fn line(&self, class: Class) -> &Arc<Line> {
        match class {
            Class::Interactive => &self.interactive,
            Class::Batch => &self.batch,
        }
    }

    /// Takes and gives no more.
    pub(super) fn stop(&self) {
        for class in Class::ALL {
            let line = self.line(class);
            line.state().closed = true;
            line.closing.notify_waiters();
        }
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requeue(&self, wake: &Wake) {
        // Beyond the capacity, if need be: what was handed out is bounded by those who took it.
        self.state().waiting.push_front(Packed::of(wake));
        self.added.notify_one();
    }
}

#[async_trait]
impl Queue for Wakes {
    async fn publish(&self, wake: &Wake) -> Result<(), QueueError> {
        let line = self.line(wake.class);
        {
            let mut state = line.state();
            if state.closed {
                return Err(QueueError::Closed);
            }
            if state.waiting.len() >= QUEUE_CAPACITY {
                return Err(QueueError::Full);
            }
            state.waiting.push_back(Packed::of(wake));
        }
        line.added.notify_one();
        Ok(())
    }

    async fn consume(
        &self,
        class: Class,
        unacked_max: usize,
    ) -> Result<Box<dyn Consumer>, QueueError> {
        let line = Arc::clone(self.line(class));
        if line.state().closed {
            return Err(QueueError::Closed);
        }
        let slots = Arc::new(Semaphore::new(unacked_max.min(Semaphore::MAX_PERMITS)));
        Ok(Box::new(LineConsumer { class, line, slots }))
    }

    async fn depth(&self, class: Class) -> Result<u64, QueueError> {
        let waiting = self.line(class).state().waiting.len();
        Ok(u64::try_from(waiting).unwrap_or(u64::MAX))
    }

    fn survives_restart(&self) -> bool {
        false
    }
}

struct LineConsumer {
    class: Class,
    line: Arc<Line>,
    /// One for each wake that may be unsettled at a time.
    slots: Arc<Semaphore>,
}

impl LineConsumer {
    async fn take(&self) -> Option<Delivery> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        let mut added = std::pin::pin!(self.line.added.notified());
        loop {
            // Before the look at the line, so that what is added right after it is not missed.
            added.as_mut().enable();
            // From a wake that was taken to the return nothing waits: a dropped call loses none.
            let taken = self.line.state().waiting.pop_front();
            if let Some(wake) = taken.and_then(|wake| wake.unpack(self.class)) {
                let line = Arc::clone(&self.line);
                return Some(Delivery::new(wake, move |wake, settle| {
                    if settle == Disposition::Requeue {
                        line.requeue(wake);
                    }
                    drop(slot);
                }));
            }
            added.as_mut().await;
            added.set(self.line.added.notified());
        }
    }
}

#[async_trait]
impl Consumer for LineConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let mut closing = std::pin::pin!(self.line.closing.notified());
        closing.as_mut().enable();
        if self.line.state().closed {
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
    async fn what_is_given_back_goes_first() {
        let queue = Wakes::default();
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
