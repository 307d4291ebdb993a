//! The connections of the test's HTTPS server, and the requests on each.

use std::time::Duration;

use http::Version;
use tokio::sync::watch;

/// How long the test waits for an event. It takes that long only in a test that fails.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection with a completed TLS handshake.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// The run of the server in which the connection was made: 0, and one more after each restart.
    pub(crate) run: usize,
    /// The agreed version of HTTP.
    pub(crate) version: Version,
    /// How many requests have arrived.
    pub(crate) requests: usize,
    /// How many of them wait for an answer.
    pub(crate) waiting: usize,
}

/// All connections since the first start, the oldest first.
pub(crate) struct Connections(watch::Sender<Vec<Connection>>);

/// A request, which counts as waiting until this is dropped.
pub(crate) struct Waiting<'a> {
    connections: &'a Connections,
    number: usize,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    /// Adds a connection and returns its number.
    pub(crate) fn add(&self, run: usize, version: Version) -> usize {
        let mut number = 0;
        self.0.send_modify(|all| {
            number = all.len();
            all.push(Connection {
                run,
                version,
                requests: 0,
                waiting: 0,
            });
        });
        number
    }

    /// Counts a request on a connection.
    pub(crate) fn begin_request(&self, number: usize) -> Waiting<'_> {
        self.0.send_modify(|all| {
            all[number].requests += 1;
            all[number].waiting += 1;
        });
        Waiting {
            connections: self,
            number,
        }
    }

    /// Waits until `count` requests wait on connections of this run of the server, and returns those connections.
    pub(crate) async fn waiting(&self, run: usize, count: usize) -> Vec<Connection> {
        let is_of_run = |connection: &&Connection| connection.run == run;
        let mut seen = self.0.subscribe();
        let enough = seen.wait_for(|all| {
            let waiting: usize = all
                .iter()
                .filter(is_of_run)
                .map(|connection| connection.waiting)
                .sum();
            waiting == count
        });
        match tokio::time::timeout(LIMIT, enough).await {
            Ok(all) => {
                let all = all.expect("there is a sender");
                all.iter().filter(is_of_run).cloned().collect()
            }
            Err(_) => panic!("not {count} requests at a time: {:?}", self.all()),
        }
    }

    /// All connections since the first start.
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
