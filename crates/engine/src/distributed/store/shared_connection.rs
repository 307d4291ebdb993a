//! A connection that many commands share, and that a background task replaces when it breaks.

use std::sync::{PoisonError, RwLock};

use redis::{aio::MultiplexedConnection, cluster_async::ClusterConnection};
use tokio::sync::Notify;

/// Holds the current connection, if there is one.
#[derive(Default)]
pub(super) struct SharedRedisConnection {
    current: RwLock<Option<ConnectionHandle>>,
    broken: Notify,
    opened: Notify,
}

/// A connection, cheap to clone for each command.
#[derive(Clone)]
pub(super) struct ConnectionHandle {
    pub(super) id: u64,
    pub(super) connection: RedisConnection,
}

#[derive(Clone)]
pub(super) enum RedisConnection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl SharedRedisConnection {
    /// The connection to use for one command.
    pub(super) fn handle(&self) -> Option<ConnectionHandle> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the connection.
    pub(super) fn replace(&self, handle: &ConnectionHandle) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(handle.clone());
        self.opened.notify_waiters();
    }

    /// Requests another connection, unless this one was replaced already.
    pub(super) fn mark_broken(&self, handle: &ConnectionHandle) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current
            .as_ref()
            .is_none_or(|current| current.id != handle.id)
        {
            return;
        }
        if matches!(handle.connection, RedisConnection::Single(_)) {
            *current = None;
        }
        // The connections to a cluster stay in use until they are replaced, because the failure of one node
        // does not concern the others.
        self.broken.notify_one();
    }

    /// Waits until the connection with this id has to be replaced.
    pub(super) async fn until_broken(&self, id: u64) {
        loop {
            self.broken.notified().await;
            match self.handle() {
                // `mark_broken` removes a single connection. This one is still there, so the notification was for an
                // earlier one.
                Some(ConnectionHandle {
                    id: current,
                    connection: RedisConnection::Single(_),
                }) if current == id => {}
                _ => return,
            }
        }
    }

    /// Waits until there is a connection.
    pub(super) async fn until_open(&self) {
        loop {
            let opened = self.opened.notified();
            if self.handle().is_some() {
                return;
            }
            opened.await;
        }
    }
}
