//! A connection that many commands share. When it breaks, a background task of `connections` replaces it.

use std::sync::{PoisonError, RwLock};

use redis::{aio::MultiplexedConnection, cluster_async::ClusterConnection};
use tokio::sync::Notify;

/// Holds the current connection, if there is one.
#[derive(Default)]
pub(super) struct SharedRedisConnection {
    current: RwLock<Option<ConnectionHandle>>,
    /// Notified when the connection has to be replaced.
    broken: Notify,
    /// Notified when a connection was set.
    opened: Notify,
}

/// A connection. Each command clones it, which is cheap.
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
    /// Returns the current connection.
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

    /// Requests a new connection, unless this connection was replaced already.
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
        // The client of a cluster stays in use until it is replaced, because the failure of one node does not concern
        // the other nodes.
        self.broken.notify_one();
    }

    /// Waits until the connection with this id has to be replaced.
    pub(super) async fn until_broken(&self, id: u64) {
        loop {
            self.broken.notified().await;
            match self.handle() {
                // `mark_broken` removes a broken connection to a single server. This connection was not removed, so the
                // notification was about an earlier connection.
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
