//! The connections that a server has accepted, and the requests on each.

use std::{sync::Arc, time::Duration};

use http::Version;
use tokio::sync::watch;

/// The default limit of waits. Only failing tests reach it.
const LIMIT: Duration = Duration::from_secs(60);

/// One connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The version of HTTP that it speaks.
    pub version: Version,
    /// How many requests arrived on it.
    pub requests: usize,
    /// How many of these have no complete answer yet.
    pub unanswered: usize,
    /// Whether the connection has ended.
    pub is_closed: bool,
}

/// All connections of a server in the order of their arrival, closed ones included.
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

    /// Waits until `condition` holds for the connections; returns them.
    ///
    /// # Panics
    /// After 60 s, with the connections.
    pub async fn wait_for(
        &self,
        what: &str,
        condition: impl Fn(&[Connection]) -> bool,
    ) -> Vec<Connection> {
        let mut changes = self.0.subscribe();
        let holds = changes.wait_for(|all| condition(all));
        match tokio::time::timeout(LIMIT, holds).await {
            Ok(Ok(all)) => all.clone(),
            _ => panic!("not {what} within {LIMIT:?}: {:?}", self.all()),
        }
    }

    /// Waits until `count` requests on open connections have no answer yet; returns the open connections.
    ///
    /// # Panics
    /// After 60 s, with the connections.
    pub async fn wait_for_unanswered(&self, count: usize) -> Vec<Connection> {
        let what = format!("{count} unanswered requests");
        let unanswered = |all: &[Connection]| {
            let open = all.iter().filter(|one| !one.is_closed);
            open.map(|one| one.unanswered).sum::<usize>() == count
        };
        let mut open = self.wait_for(&what, unanswered).await;
        open.retain(|one| !one.is_closed);
        open
    }

    /// Adds a connection; returns its guard, which closes it when dropped.
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

/// An open connection.
pub(super) struct ConnectionGuard {
    number: usize,
    connections: Connections,
}

impl ConnectionGuard {
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Counts a request; it has an answer when the guard is dropped.
    pub(super) fn request(&self) -> RequestGuard {
        self.connections.change(self.number, |one| {
            one.requests += 1;
            one.unanswered += 1;
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
            .change(self.number, |one| one.is_closed = true);
    }
}

/// A request that has no complete answer yet.
pub(super) struct RequestGuard {
    number: usize,
    connections: Connections,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.connections
            .change(self.number, |one| one.unanswered -= 1);
    }
}
