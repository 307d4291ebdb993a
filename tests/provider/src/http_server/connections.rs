//! The connections that a server has accepted, with the number of requests on each.

use std::{sync::Arc, time::Duration};

use http::Version;
use tokio::sync::watch;

/// The timeout of a wait. Only failing tests reach it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The version of HTTP.
    pub version: Version,
    /// How many requests arrived on the connection.
    pub requests: usize,
    /// How many of these requests have no complete response yet.
    pub unanswered: usize,
    /// Whether the connection has ended.
    pub is_closed: bool,
}

/// All connections of a server in the order of their arrival, closed connections included.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<watch::Sender<Vec<Connection>>>);

impl Connections {
    /// All connections so far.
    #[must_use]
    pub fn all(&self) -> Vec<Connection> {
        self.0.borrow().clone()
    }

    /// How many connections there were so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Waits until `condition` is true for the connections, and returns them. The error message contains `description`.
    ///
    /// # Panics
    /// After 60 s. The message lists the connections.
    pub async fn wait_for(
        &self,
        description: &str,
        condition: impl Fn(&[Connection]) -> bool,
    ) -> Vec<Connection> {
        let mut changes = self.0.subscribe();
        let condition_is_true = changes.wait_for(|all| condition(all));
        match tokio::time::timeout(TIMEOUT, condition_is_true).await {
            Ok(Ok(all)) => all.clone(),
            _ => panic!(
                "timed out after {TIMEOUT:?} waiting for {description}; the connections: {:?}",
                self.all()
            ),
        }
    }

    /// Waits until exactly `count` requests on open connections have no complete response yet, and returns the open
    /// connections.
    ///
    /// # Panics
    /// After 60 s. The message lists the connections.
    pub async fn wait_for_unanswered(&self, count: usize) -> Vec<Connection> {
        let description = format!("{count} unanswered requests");
        let unanswered = |all: &[Connection]| {
            let open = all.iter().filter(|connection| !connection.is_closed);
            open.map(|connection| connection.unanswered).sum::<usize>() == count
        };
        let mut open = self.wait_for(&description, unanswered).await;
        open.retain(|connection| !connection.is_closed);
        open
    }

    /// Adds an open connection and returns its guard.
    pub(super) fn add(&self, version: Version) -> ConnectionGuard {
        let mut number = 0;
        self.0.send_modify(|all| {
            number = all.len();
            all.push(Connection {
                version,
                requests: 0,
                unanswered: 0,
                is_closed: false,
            });
        });
        ConnectionGuard {
            number,
            connections: self.clone(),
        }
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Connection)) {
        self.0.send_modify(|all| change(&mut all[number]));
    }
}

/// An open connection. Dropping the guard marks it as closed.
pub(super) struct ConnectionGuard {
    number: usize,
    connections: Connections,
}

impl ConnectionGuard {
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Counts a request as unanswered until its guard is dropped.
    pub(super) fn count_request(&self) -> RequestGuard {
        self.connections.change(self.number, |connection| {
            connection.requests += 1;
            connection.unanswered += 1;
        });
        RequestGuard {
            number: self.number,
            connections: self.connections.clone(),
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections
            .change(self.number, |connection| connection.is_closed = true);
    }
}

/// A request that has no complete response yet.
pub(super) struct RequestGuard {
    number: usize,
    connections: Connections,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.connections
            .change(self.number, |connection| connection.unanswered -= 1);
    }
}
