//! A queue in memory that nobody consumes, and that fails as the test says.

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
    queue::{Consumer, Queue, QueueError},
    wake::Wake,
};

/// How the queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Line {
    /// It takes everything.
    #[default]
    Open,
    /// It takes nothing, and says so.
    Away,
    /// It takes nothing, and says nothing.
    Blocked,
    /// It has no room.
    Full,
}

/// The queue.
#[derive(Default)]
pub(crate) struct FakeQueue {
    line: Mutex<Line>,
    /// What was taken, and not purged since.
    waiting: Mutex<Vec<Wake>>,
    /// Publishes so far, with and without success.
    tries: AtomicUsize,
    /// Whether wakes die with the process.
    pub(crate) is_volatile: AtomicBool,
}

impl FakeQueue {
    pub(crate) fn set(&self, line: Line) {
        *self.line.lock().unwrap() = line;
    }

    /// The jobs whose wakes wait, in order.
    pub(crate) fn woken(&self) -> Vec<JobId> {
        self.waiting.lock().unwrap().iter().map(|w| w.job).collect()
    }

    /// Throws away what waits; says whose wakes that were.
    pub(crate) fn purge(&self) -> Vec<JobId> {
        let woken = self.woken();
        self.waiting.lock().unwrap().clear();
        woken
    }

    /// Throws away what waits for one job.
    pub(crate) fn lose(&self, job: JobId) {
        self.waiting.lock().unwrap().retain(|wake| wake.job != job);
    }

    pub(crate) fn tries(&self) -> usize {
        self.tries.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Queue for FakeQueue {
    async fn publish(&self, wake: &Wake) -> Result<(), QueueError> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        let line = *self.line.lock().unwrap();
        match line {
            Line::Open => {
                self.waiting.lock().unwrap().push(wake.clone());
                Ok(())
            }
            Line::Away => Err(QueueError::Unavailable(None)),
            Line::Blocked => future::pending().await,
            Line::Full => Err(QueueError::Full),
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

    fn survives_restart(&self) -> bool {
        !self.is_volatile.load(Ordering::SeqCst)
    }
}
