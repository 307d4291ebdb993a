//! The log of all requests and their outcomes. Tests wait until it contains the requests that they expect.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::request::ChatRequest;

/// The most requests recorded. Later requests are answered with 500, so that a test with more requests fails.
const RECORDS_MAX: usize = 200_000;
/// How many of the newest requests the error message of a failed wait lists.
const LISTED_MAX: usize = 40;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Answered completely, with this HTTP status.
    Answered(u16),
    /// Refused with this HTTP status and reason, because the real service would refuse it. The script chose no reply.
    Refused(u16, String),
    /// The client disconnected before it had the whole reply.
    ClientDisconnected,
    /// The server broke the connection or stream, as the test's script required.
    ConnectionBrokenByScript,
}

/// A request and its outcome.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The request.
    pub request: Arc<ChatRequest>,
    /// How the request ended and when; `None` while it is in flight.
    pub ended: Option<(RequestOutcome, Instant)>,
}

impl Recorded {
    /// Whether the request is still in flight.
    #[must_use]
    pub const fn is_in_flight(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether the client disconnected before it had the whole reply.
    #[must_use]
    pub const fn client_disconnected(&self) -> bool {
        matches!(self.ended, Some((RequestOutcome::ClientDisconnected, _)))
    }

    /// Whether the request was answered completely with 200.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self.ended, Some((RequestOutcome::Answered(200), _)))
    }

    /// The reason, if the request was refused because the real service would refuse it.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match &self.ended {
            Some((RequestOutcome::Refused(_, reason), _)) => Some(reason),
            _ => None,
        }
    }
}

/// Counts since the start of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests received, without the unexpected ones.
    pub requests: usize,
    /// Requests answered completely, with any status.
    pub answered: usize,
    /// Requests refused because the real service would refuse them.
    pub refused: usize,
    /// Requests whose client disconnected.
    pub client_disconnected: usize,
    /// Requests whose connection or stream the server broke, as the test's script required.
    pub broken_by_script: usize,
    /// Requests in flight now.
    pub in_flight: usize,
    /// The most requests that were in flight at once.
    pub in_flight_max: usize,
    /// Connections accepted.
    pub connections: usize,
    /// Requests that the server does not serve: those for other paths, as `METHOD path`, and bytes that are not HTTP.
    pub unexpected: Vec<String>,
}

/// The log of one server.
#[derive(Clone)]
pub(super) struct RequestLog(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
    started_at: Instant,
}

#[derive(Default)]
struct Inner {
    records: Vec<Recorded>,
    stats: Stats,
}

/// A request that is being answered. If this guard is dropped without a recorded outcome, the client has disconnected.
pub(super) struct InFlight {
    number: usize,
    log: RequestLog,
}

impl InFlight {
    /// Records how the request ended. A later outcome replaces an earlier outcome.
    pub(super) fn record_outcome(&self, outcome: RequestOutcome) {
        self.log.set_outcome(self.number, outcome);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.log.lock().records[self.number].is_in_flight() {
            self.log
                .set_outcome(self.number, RequestOutcome::ClientDisconnected);
        }
    }
}

impl RequestLog {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            inner: Mutex::default(),
            changed: watch::Sender::new(()),
            started_at: Instant::now(),
        }))
    }

    /// Numbers the request and records it; `None` if the log is full.
    pub(super) fn record_arrival(
        &self,
        mut request: ChatRequest,
    ) -> Option<(Arc<ChatRequest>, InFlight)> {
        let request = {
            let mut inner = self.lock();
            if inner.records.len() >= RECORDS_MAX {
                return None;
            }
            request.number = inner.records.len();
            let request = Arc::new(request);
            inner.records.push(Recorded {
                request: Arc::clone(&request),
                ended: None,
            });
            let stats = &mut inner.stats;
            stats.requests += 1;
            stats.in_flight += 1;
            stats.in_flight_max = stats.in_flight_max.max(stats.in_flight);
            request
        };
        self.0.changed.send_replace(());
        let in_flight = InFlight {
            number: request.number,
            log: self.clone(),
        };
        Some((request, in_flight))
    }

    fn set_outcome(&self, number: usize, outcome: RequestOutcome) {
        {
            let mut inner = self.lock();
            let inner = &mut *inner;
            let stats = &mut inner.stats;
            let before = inner.records[number].ended.take();
            match &before {
                None => stats.in_flight -= 1,
                Some((outcome, _)) => *counter_of(stats, outcome) -= 1,
            }
            *counter_of(stats, &outcome) += 1;
            inner.records[number].ended = Some((outcome, Instant::now()));
        }
        self.0.changed.send_replace(());
    }

    /// Records a request that the server does not serve.
    pub(super) fn record_unexpected(&self, request: String) {
        let mut inner = self.lock();
        if inner.stats.unexpected.len() < RECORDS_MAX {
            inner.stats.unexpected.push(request);
        }
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    pub(super) fn recorded(&self) -> Vec<Recorded> {
        self.lock().records.clone()
    }

    /// Waits until `condition` is true for the requests so far. The error lists the newest of them.
    pub(super) async fn wait(
        &self,
        timeout: Duration,
        description: &str,
        condition: impl Fn(&[Recorded]) -> bool,
    ) -> Result<(), String> {
        let mut changes = self.0.changed.subscribe();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if condition(&self.lock().records) {
                    return;
                }
                // The wait cannot fail, because the sender lives as long as this log.
                let _ = changes.changed().await;
            }
        };
        if tokio::time::timeout(timeout, wait).await.is_ok() {
            return Ok(());
        }
        Err(format!(
            "timed out after {timeout:?} waiting for {description}; the scripted server's log:\n{}",
            self.listing()
        ))
    }

    /// The newest requests as text for an error message, one line each.
    pub(super) fn listing(&self) -> String {
        let inner = self.lock();
        let count = inner.records.len();
        let left_out = count.saturating_sub(LISTED_MAX);
        let mut text = format!("{count} requests, of which the first {left_out} are not listed\n");
        for record in &inner.records[left_out..] {
            let request = &record.request;
            let arrived_after = request.arrived_at.duration_since(self.0.started_at);
            let input: String = request.last_user_text().chars().take(60).collect();
            let ended = match &record.ended {
                None => "in flight".to_owned(),
                Some((outcome, _)) => format!("{outcome:?}"),
            };
            text.push_str(&format!(
                "#{} at {} ms, {:?} {}, {input:?}: {ended}\n",
                request.number,
                arrived_after.as_millis(),
                request.dialect,
                request.model,
            ));
        }
        for unexpected in inner.stats.unexpected.iter().take(LISTED_MAX) {
            text.push_str(&format!("unexpected: {unexpected}\n"));
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn counter_of<'a>(stats: &'a mut Stats, outcome: &RequestOutcome) -> &'a mut usize {
    match outcome {
        RequestOutcome::Answered(_) => &mut stats.answered,
        RequestOutcome::Refused(..) => &mut stats.refused,
        RequestOutcome::ClientDisconnected => &mut stats.client_disconnected,
        RequestOutcome::ConnectionBrokenByScript => &mut stats.broken_by_script,
    }
}
