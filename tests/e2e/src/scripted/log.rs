//! Every request received and how it ended, and waiting for what a test needs to see there.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::request::ChatRequest;

/// The most requests recorded; the server answers 500 beyond, so that no test passes unseen.
const RECORDS_MAX: usize = 200_000;
/// How many of the newest requests a failed wait lists.
const LISTED_MAX: usize = 40;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Answered in full, with this HTTP status.
    Answered(u16),
    /// Refused as the real service would, for this reason, before any script was asked.
    Refused(u16, String),
    /// The client hung up before it had the reply.
    HungUp,
    /// The server broke the connection, as scripted.
    Broken,
}

/// A request and what became of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What came.
    pub request: Arc<ChatRequest>,
    /// How it ended and when; `None` while it is in flight.
    pub ended: Option<(Ending, Instant)>,
}

impl Recorded {
    /// Whether it is still in flight.
    #[must_use]
    pub const fn is_in_flight(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether the client hung up before it had the reply.
    #[must_use]
    pub const fn hung_up(&self) -> bool {
        matches!(self.ended, Some((Ending::HungUp, _)))
    }

    /// Whether it was answered in full with 200.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self.ended, Some((Ending::Answered(200), _)))
    }

    /// The reason, if it was refused as the real service would.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match &self.ended {
            Some((Ending::Refused(_, reason), _)) => Some(reason),
            _ => None,
        }
    }
}

/// Numbers of a server's life so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests received.
    pub requests: usize,
    /// Of these, answered in full, whatever the status.
    pub answered: usize,
    /// Refused as the real service would.
    pub refused: usize,
    /// Given up by the client.
    pub hung_up: usize,
    /// Broken by the server, as scripted.
    pub broken: usize,
    /// In flight now.
    pub in_flight: usize,
    /// The most ever in flight at once.
    pub in_flight_max: usize,
    /// Connections accepted.
    pub connections: usize,
    /// Requests for anything that the server does not have, as `METHOD path`.
    pub strays: Vec<String>,
}

pub(super) struct Log {
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
    started_at: Instant,
}

#[derive(Default)]
struct Inner {
    records: Vec<Recorded>,
    stats: Stats,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            inner: Mutex::default(),
            changed: watch::Sender::new(()),
            started_at: Instant::now(),
        }
    }

    /// Numbers the request and records it; `None` when the record is full.
    pub(super) fn arrived(&self, mut request: ChatRequest) -> Option<Arc<ChatRequest>> {
        let request = {
            let mut inner = self.lock();
            if inner.records.len() >= RECORDS_MAX {
                return None;
            }
            request.n = inner.records.len();
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
        self.changed.send_replace(());
        Some(request)
    }

    /// Records how request `n` ended. A second ending corrects the first: a reply counts as answered
    /// when its last byte is about to be written, so that the client cannot be ahead of the record.
    pub(super) fn ended(&self, n: usize, ending: Ending) {
        {
            let mut inner = self.lock();
            let inner = &mut *inner;
            let stats = &mut inner.stats;
            let before = inner.records[n].ended.take();
            match &before {
                None => stats.in_flight -= 1,
                Some((ending, _)) => *count_of(stats, ending) -= 1,
            }
            *count_of(stats, &ending) += 1;
            inner.records[n].ended = Some((ending, Instant::now()));
        }
        self.changed.send_replace(());
    }

    pub(super) fn stray(&self, what: String) {
        let mut inner = self.lock();
        if inner.stats.strays.len() < RECORDS_MAX {
            inner.stats.strays.push(what);
        }
    }

    pub(super) fn connected(&self) {
        self.lock().stats.connections += 1;
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    pub(super) fn recorded(&self) -> Vec<Recorded> {
        self.lock().records.clone()
    }

    /// Waits until `seen` holds; `Err` lists what was seen instead.
    pub(super) async fn wait(
        &self,
        limit: Duration,
        what: &str,
        seen: impl Fn(&[Recorded]) -> bool,
    ) -> Result<(), String> {
        let mut changes = self.changed.subscribe();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if seen(&self.lock().records) {
                    return;
                }
                // The sender lives as long as this log does.
                let _ = changes.changed().await;
            }
        };
        if tokio::time::timeout(limit, wait).await.is_ok() {
            return Ok(());
        }
        Err(format!(
            "waited {limit:?} in vain for {what}; the scripted server saw:\n{}",
            self.listing()
        ))
    }

    /// The newest requests for people, one line each.
    pub(super) fn listing(&self) -> String {
        let inner = self.lock();
        let count = inner.records.len();
        let left_out = count.saturating_sub(LISTED_MAX);
        let mut text = format!("{count} requests, the first {left_out} left out\n");
        for record in &inner.records[left_out..] {
            let request = &record.request;
            let at_ms = request.arrived_at.duration_since(self.started_at);
            let said: String = request.last_user_text().chars().take(60).collect();
            let ended = match &record.ended {
                None => "in flight".to_owned(),
                Some((ending, _)) => format!("{ending:?}"),
            };
            text.push_str(&format!(
                "#{} at {} ms, {:?} {}, {said:?}: {ended}\n",
                request.n,
                at_ms.as_millis(),
                request.dialect,
                request.model,
            ));
        }
        for stray in inner.stats.strays.iter().take(LISTED_MAX) {
            text.push_str(&format!("stray: {stray}\n"));
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn count_of<'a>(stats: &'a mut Stats, ending: &Ending) -> &'a mut usize {
    match ending {
        Ending::Answered(_) => &mut stats.answered,
        Ending::Refused(..) => &mut stats.refused,
        Ending::HungUp => &mut stats.hung_up,
        Ending::Broken => &mut stats.broken,
    }
}
