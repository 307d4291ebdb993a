//! A place for one connection that many commands share: taken from by those who send, filled and
//! emptied by the task that keeps it.

use std::sync::{PoisonError, RwLock};

use redis::{aio::MultiplexedConnection, cluster_async::ClusterConnection};
use tokio::sync::Notify;

/// A place for a connection.
#[derive(Default)]
pub(super) struct Slot {
    current: RwLock<Option<Handle>>,
    broken: Notify,
    filled: Notify,
}

/// A connection to clone.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) id: u64,
    pub(super) connection: Connection,
}

#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Slot {
    /// The connection, to be used for one command.
    pub(super) fn handle(&self) -> Option<Handle> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts a connection in.
    pub(super) fn fill(&self, handle: &Handle) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(handle.clone());
        self.filled.notify_waiters();
    }

    /// Has the connection replaced, if it still is this one.
    pub(super) fn mark_broken(&self, handle: &Handle) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current
            .as_ref()
            .is_none_or(|current| current.id != handle.id)
        {
            return;
        }
        if matches!(handle.connection, Connection::Single(_)) {
            *current = None;
        }
        // The connections of a cluster stay in use until others are there: one node's failure says
        // nothing of the other nodes.
        self.broken.notify_one();
    }

    /// Waits until the connection of this id is to be replaced.
    pub(super) async fn until_broken(&self, id: u64) {
        loop {
            self.broken.notified().await;
            match self.handle() {
                // What was broken is a connection before this one.
                Some(Handle {
                    id: current,
                    connection: Connection::Single(_),
                }) if current == id => {}
                _ => return,
            }
        }
    }

    /// Waits until there is a connection.
    pub(super) async fn until_filled(&self) {
        loop {
            let filled = self.filled.notified();
            if self.handle().is_some() {
                return;
            }
            filled.await;
        }
    }
}
