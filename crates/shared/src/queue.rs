//! The trait [`Queue`], which carries wakes to the workers.

use async_trait::async_trait;

use crate::{class::Class, ids::JobId, wake::Wake};

/// Why a call of the queue failed. A lost wake does no harm, because the job's timer requests the wake again.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue has no space for more messages until consumers take some. Only a queue with a capacity returns this.
    #[error("the queue is full")]
    Full,
    /// The queue does not respond, or is blocked. A later repeat can help.
    #[error("the queue does not respond, or is blocked")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The queue is closed because this process shuts down.
    #[error("the queue is closed")]
    Closed,
}

/// The queue of wakes. Each wake is delivered at least once, unless the queue loses its messages.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Publishes a wake. Returns once the queue has confirmed the wake.
    ///
    /// # Errors
    /// [`QueueError`] if the queue has not confirmed the wake. The wake may have been published nevertheless.
    async fn publish(&self, wake: &Wake) -> Result<(), QueueError>;

    /// Starts to consume the wakes of a class, with at most `unacked_max` unsettled deliveries at a time. A process may
    /// have at most one consumer of each class.
    ///
    /// # Errors
    /// [`QueueError`] if the queue cannot be reached. A consumer that has started continues after later outages.
    async fn consume(
        &self,
        class: Class,
        unacked_max: usize,
    ) -> Result<Box<dyn Consumer>, QueueError>;

    /// Returns how many wakes of a class wait for a consumer.
    ///
    /// # Errors
    /// [`QueueError`] if the queue cannot be reached.
    async fn depth(&self, class: Class) -> Result<u64, QueueError>;

    /// How full the queue of a class is. `None` if it has no capacity. A queue with a capacity belongs to one process.
    fn space(&self, _class: Class) -> Option<QueueSpace> {
        None
    }

    /// Whether a wake of a job waits in the queue. Delivered wakes do not count. A queue without a capacity may always return `false`.
    fn has_wake(&self, _class: Class, _job: JobId) -> bool {
        false
    }

    /// Whether a delivery has the [`lane_copy`](Wake::lane_copy) of its wake. A queue in memory leaves it out, to save memory.
    fn keeps_lane_copies(&self) -> bool {
        true
    }

    /// Whether the queue can be reached, as this process knows it: its connections are open, and no alarm blocks them. A queue in
    /// the process always can.
    fn is_connected(&self) -> bool {
        true
    }

    /// Whether the consumers of this process are registered at the queue, for all classes. An alarm of the queue does not end
    /// them. A queue in the process always delivers.
    fn is_consuming(&self) -> bool {
        true
    }

    /// Whether wakes survive a restart of all processes. If they do not, each newly elected sweeper wakes every ready
    /// head.
    fn survives_restart(&self) -> bool;
}

/// How full a queue with a capacity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSpace {
    /// How many wakes wait.
    pub waiting: usize,
    /// How many further wakes the queue takes.
    pub free: usize,
}

/// A stream of wakes.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for the next delivery. `None` when the queue is closed. The future may be dropped without losing a
    /// delivery.
    async fn next(&mut self) -> Option<Delivery>;
}

/// The function that receives the disposition of a delivery.
type OnSettled = dyn FnOnce(&Wake, Disposition) + Send;

/// A received wake, to be acknowledged or requeued exactly once. Dropping the delivery requeues the wake.
pub struct Delivery {
    /// The wake.
    pub wake: Wake,
    on_settled: Option<Box<OnSettled>>,
}

/// How a delivery was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The queue deletes the wake.
    Ack,
    /// The queue delivers the wake again, to any consumer.
    Requeue,
}

impl Delivery {
    /// Creates a delivery that calls `on_settled` once. `on_settled` must not block.
    #[must_use]
    pub fn new(wake: Wake, on_settled: impl FnOnce(&Wake, Disposition) + Send + 'static) -> Self {
        Self {
            wake,
            on_settled: Some(Box::new(on_settled)),
        }
    }

    /// Acknowledges the wake: its work is committed, or there is no work.
    pub fn ack(mut self) {
        self.settle(Disposition::Ack);
    }

    /// Puts the wake back into the queue, for any consumer.
    pub fn requeue(mut self) {
        self.settle(Disposition::Requeue);
    }

    fn settle(&mut self, disposition: Disposition) {
        if let Some(on_settled) = self.on_settled.take() {
            on_settled(&self.wake, disposition);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.settle(Disposition::Requeue);
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("job", &self.wake.job)
            .finish_non_exhaustive()
    }
}
