//! Where work goes in to the engine's threads: a bounded line that can be shut.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::mpsc;

use super::failure::Failure;

/// The way in to a thread. Once it is shut and all that waits is done, the thread's end of it says
/// that no more will come.
pub(super) struct Intake<T> {
    door: Arc<RwLock<Option<mpsc::Sender<T>>>>,
}

impl<T> Intake<T> {
    /// A way in, and the end that the thread has. Beyond `waiting_max`, whoever comes waits for room.
    pub(super) fn new(waiting_max: usize) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(waiting_max);
        let door = Arc::new(RwLock::new(Some(sender)));
        (Self { door }, receiver)
    }

    /// Hands work in.
    pub(super) async fn put(&self, work: T) -> Result<(), Failure> {
        let sender = self.sender().ok_or(Failure::Stopped)?;
        sender.send(work).await.map_err(|_| Failure::Stopped)
    }

    /// Lets nothing more in.
    pub(super) fn shut(&self) {
        self.door
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    fn sender(&self) -> Option<mpsc::Sender<T>> {
        self.door
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until so much work waits that nobody has begun.
    #[cfg(test)]
    pub(super) async fn holds(&self, count: usize) {
        let sender = self.sender().expect("the way in is open");
        while sender.max_capacity() - sender.capacity() < count {
            tokio::task::yield_now().await;
        }
    }
}
