//! The port to the queue that carries wakes from those who know of work to those who do it.

use async_trait::async_trait;

use crate::{class::Class, wake::Wake};

/// A queue could not do what it was asked; the timers make up for it.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It has no room for more. Those who take from it make some.
    #[error("the queue is full")]
    Full,
    /// It is away or blocked. Another try, later, can help.
    #[error("the queue does not take or give messages now")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// It closed, for this process will end.
    #[error("the queue is closed")]
    Closed,
}

/// Carries wakes, at least once while it lives.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Hands a wake over; returns once the queue has it for sure.
    ///
    /// # Errors
    /// [`QueueError`] when that is not known. The wake may have gone out all the same.
    async fn publish(&self, wake: &Wake) -> Result<(), QueueError>;

    /// Begins to receive the wakes of a class, at most `unacked_max` of them unsettled at a time. A
    /// process may have one consumer for each class.
    ///
    /// # Errors
    /// [`QueueError`] when the queue cannot be reached; once begun, a consumer outlives that.
    async fn consume(
        &self,
        class: Class,
        unacked_max: usize,
    ) -> Result<Box<dyn Consumer>, QueueError>;

    /// How many wakes of a class wait for a consumer.
    ///
    /// # Errors
    /// [`QueueError`] when the queue cannot be asked.
    async fn depth(&self, class: Class) -> Result<u64, QueueError>;

    /// Whether wakes outlive a restart of all processes. Where they do not, whoever sweeps first
    /// after a start wakes every lane that has work.
    fn survives_restart(&self) -> bool;
}

/// A stream of wakes.
#[async_trait]
pub trait Consumer: Send {
    /// The next one; waits for it. Safe to drop and to call again. `None` when the queue is closed.
    async fn next(&mut self) -> Option<Delivery>;
}

/// What is told how a wake was settled.
type Settler = dyn FnOnce(&Wake, Settle) + Send;

/// A wake that was received, to be settled exactly once. One that is dropped unsettled is given back.
pub struct Delivery {
    /// The wake.
    pub wake: Wake,
    settle: Option<Box<Settler>>,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// It is done with.
    Ack,
    /// Somebody else may have it.
    GiveBack,
}

impl Delivery {
    /// A delivery that tells `settle` what became of its wake. `settle` must not block.
    #[must_use]
    pub fn new(wake: Wake, settle: impl FnOnce(&Wake, Settle) + Send + 'static) -> Self {
        Self {
            wake,
            settle: Some(Box::new(settle)),
        }
    }

    /// Done: whatever it asked for has been committed, or was not to be done.
    pub fn ack(mut self) {
        self.settle(Settle::Ack);
    }

    /// Not done: another consumer may have it.
    pub fn give_back(mut self) {
        self.settle(Settle::GiveBack);
    }

    fn settle(&mut self, how: Settle) {
        if let Some(settle) = self.settle.take() {
            settle(&self.wake, how);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.settle(Settle::GiveBack);
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("job", &self.wake.job)
            .finish_non_exhaustive()
    }
}
