//! A queue in memory without consumers. A test can make its publishes fail.

use std::{
    future,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use forebay_shared::{
    class::Class,
    ids::JobId,
    queue::{Consumer, Queue, QueueError, QueueSpace},
    wake::Wake,
};

/// How the queue handles a publish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum QueueMode {
    /// Every publish is confirmed.
    #[default]
    Up,
    /// Every publish fails at once.
    Down,
    /// No publish gets a response.
    Blocked,
    /// Every publish is rejected because the queue is full.
    Full,
}

/// A queue that a test controls.
#[derive(Default)]
pub(crate) struct FakeQueue {
    mode: Mutex<QueueMode>,
    /// The confirmed wakes that are still in the queue.
    waiting: Mutex<Vec<Wake>>,
    /// How many wakes may wait; `None` without a limit.
    capacity: Mutex<Option<usize>>,
    /// The number of publishes, confirmed or not.
    publishes: AtomicUsize,
    /// Whether a restart of the process loses the wakes.
    pub(crate) is_volatile: AtomicBool,
}

impl FakeQueue {
    pub(crate) fn set_mode(&self, mode: QueueMode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// The jobs whose wakes are in the queue, in order.
    pub(crate) fn woken(&self) -> Vec<JobId> {
        self.waiting
            .lock()
            .unwrap()
            .iter()
            .map(|wake| wake.job)
            .collect()
    }

    /// The wakes in the queue, in order.
    pub(crate) fn wakes(&self) -> Vec<Wake> {
        self.waiting.lock().unwrap().clone()
    }

    /// Removes all wakes and returns their jobs.
    pub(crate) fn purge(&self) -> Vec<JobId> {
        let woken = self.woken();
        self.waiting.lock().unwrap().clear();
        woken
    }

    /// Limits the wakes that may wait.
    pub(crate) fn set_capacity(&self, capacity: usize) {
        *self.capacity.lock().unwrap() = Some(capacity);
    }

    /// Takes the first wakes, as a worker does. Returns their jobs.
    pub(crate) fn take(&self, count: usize) -> Vec<JobId> {
        let mut waiting = self.waiting.lock().unwrap();
        let count = count.min(waiting.len());
        waiting.drain(..count).map(|wake| wake.job).collect()
    }

    /// Removes the wakes of one job.
    pub(crate) fn lose(&self, job: JobId) {
        self.waiting.lock().unwrap().retain(|wake| wake.job != job);
    }

    pub(crate) fn publishes(&self) -> usize {
        self.publishes.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Queue for FakeQueue {
    async fn publish(&self, wake: &Wake) -> Result<(), QueueError> {
        self.publishes.fetch_add(1, Ordering::SeqCst);
        let mode = *self.mode.lock().unwrap();
        match mode {
            QueueMode::Up if self.space(wake.class).is_some_and(|space| space.free == 0) => {
                Err(QueueError::Full)
            }
            QueueMode::Up => {
                self.waiting.lock().unwrap().push(wake.clone());
                Ok(())
            }
            QueueMode::Down => Err(QueueError::Unavailable(None)),
            QueueMode::Blocked => future::pending().await,
            QueueMode::Full => Err(QueueError::Full),
        }
    }

    async fn consume(
        &self,
        _class: Class,
        _unacked_max: usize,
    ) -> Result<Box<dyn Consumer>, QueueError> {
        Err(QueueError::Closed)
    }

    async fn depth(&self, class: Class) -> Result<u64, QueueError> {
        let waiting = self.waiting.lock().unwrap();
        Ok(waiting.iter().filter(|wake| wake.class == class).count() as u64)
    }

    fn space(&self, _class: Class) -> Option<QueueSpace> {
        let waiting = self.waiting.lock().unwrap().len();
        let capacity = *self.capacity.lock().unwrap();
        capacity.map(|capacity| QueueSpace {
            waiting,
            free: capacity.saturating_sub(waiting),
        })
    }

    fn has_wake(&self, _class: Class, job: JobId) -> bool {
        self.woken().contains(&job)
    }

    fn survives_restart(&self) -> bool {
        !self.is_volatile.load(Ordering::SeqCst)
    }
}
