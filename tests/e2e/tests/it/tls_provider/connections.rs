//! What an HTTPS server of the test has seen: its connections, and the requests on each.

use std::time::Duration;

use http::Version;
use tokio::sync::watch;

/// How long anything that must happen may take. Generous: it only passes when a test fails.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection whose TLS handshake was done.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// The number of the server's start, from 0.
    pub(crate) life: usize,
    pub(crate) version: Version,
    /// Requests that came on it.
    pub(crate) asked: usize,
    /// Those of them that wait for their answers.
    pub(crate) waiting: usize,
}

/// All connections there were, the oldest first.
pub(crate) struct Connections(watch::Sender<Vec<Connection>>);

/// A request that waits for its answer, until this is dropped.
pub(crate) struct Waiting<'a> {
    connections: &'a Connections,
    number: usize,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    /// Counts a new one; returns its number.
    pub(crate) fn made(&self, life: usize, version: Version) -> usize {
        let mut number = 0;
        self.0.send_modify(|all| {
            number = all.len();
            all.push(Connection {
                life,
                version,
                asked: 0,
                waiting: 0,
            });
        });
        number
    }

    /// Counts a request.
    pub(crate) fn asked(&self, number: usize) -> Waiting<'_> {
        self.0.send_modify(|all| {
            all[number].asked += 1;
            all[number].waiting += 1;
        });
        Waiting {
            connections: self,
            number,
        }
    }

    /// Waits until so many requests wait on connections of this start; returns those connections.
    pub(crate) async fn waiting(&self, life: usize, count: usize) -> Vec<Connection> {
        let is_of_life = |one: &&Connection| one.life == life;
        let mut seen = self.0.subscribe();
        let enough = seen.wait_for(|all| {
            let waiting: usize = all.iter().filter(is_of_life).map(|one| one.waiting).sum();
            waiting == count
        });
        match tokio::time::timeout(LIMIT, enough).await {
            Ok(all) => {
                let all = all.expect("there is a sender");
                all.iter().filter(is_of_life).cloned().collect()
            }
            Err(_) => panic!("not {count} requests at a time: {:?}", self.all()),
        }
    }

    /// All there ever were.
    pub(crate) fn all(&self) -> Vec<Connection> {
        self.0.borrow().clone()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let number = self.number;
        self.connections
            .0
            .send_modify(|all| all[number].waiting -= 1);
    }
}
