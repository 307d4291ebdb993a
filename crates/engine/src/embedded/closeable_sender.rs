//! The sending end of a bounded channel to the engine's threads. One call of `close` closes it for all its owners.

use std::sync::{PoisonError, RwLock};

use tokio::sync::mpsc;

use super::sqlite_error::EngineClosed;
use crate::rejection::Rejection;

/// A sender that can be closed. After [`close`](Self::close), the receiver still gets the items that were sent before,
/// and then `None`.
pub(super) struct CloseableSender<T> {
    sender: RwLock<Option<mpsc::Sender<T>>>,
}

impl<T> CloseableSender<T> {
    /// Creates a channel that holds at most `capacity` items.
    pub(super) fn channel(capacity: usize) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(capacity);
        let sender = RwLock::new(Some(sender));
        (Self { sender }, receiver)
    }

    /// Sends an item. Waits while the channel is full.
    pub(super) async fn send(&self, item: T) -> Result<(), Rejection> {
        let closed = || Rejection::unavailable(EngineClosed);
        let sender = self.sender().ok_or_else(closed)?;
        sender.send(item).await.map_err(|_| closed())
    }

    /// Refuses all items from now on.
    pub(super) fn close(&self) {
        self.sender
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    fn sender(&self) -> Option<mpsc::Sender<T>> {
        self.sender
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until the channel holds `count` items.
    #[cfg(test)]
    pub(super) async fn until_holding(&self, count: usize) {
        let sender = self.sender().expect("the channel is open");
        while sender.max_capacity() - sender.capacity() < count {
            tokio::task::yield_now().await;
        }
    }
}
