//! One session, which submits each turn until it is accepted, and the record of its submits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use e2e::client::{Answer, Client, id_of, turn_key, turn_text};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::{refusal::Refusal, traffic::Pace};

/// The pause of a client before a retry.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Only failing tests reach this limit.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(300);

/// A session at its client.
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) class: &'static str,
    pub(crate) client: Client,
    /// The permits for submits in flight of all sessions together.
    pub(crate) at_once: Arc<Semaphore>,
    pub(crate) ledger: Arc<Ledger>,
}

impl Session {
    /// Submits its turns at this pace, after the time `begin`, until there are no more or `stop` is cancelled. Returns
    /// its name and its jobs.
    pub(crate) async fn run(
        self: Arc<Self>,
        pace: Pace,
        begin: Duration,
        stop: CancellationToken,
    ) -> (String, Vec<String>) {
        let mut ids = Vec::new();
        tokio::time::sleep(begin).await;
        for n in 0..pace.turns {
            if n > 0 && n % pace.burst == 0 {
                let paused = tokio::time::sleep(pace.pause);
                stop.run_until_cancelled(paused).await;
                if stop.is_cancelled() {
                    break;
                }
            }
            ids.push(self.submit(n).await);
        }
        (self.name.clone(), ids)
    }

    /// Submits turn `n` until it is accepted; returns the job.
    async fn submit(self: &Arc<Self>, n: u64) -> String {
        let began = Instant::now();
        let mut is_first = true;
        loop {
            match self.try_submit(n).await {
                Ok(answer) if answer.status == 202 => {
                    let job = id_of(&answer.body).to_owned();
                    self.record_accepted(n, &job, is_first);
                    return job;
                }
                Ok(answer) => self.ledger.records().refusals.push(Refusal::of(&answer)),
                Err(_) => self.ledger.records().unanswered += 1,
            }
            is_first = false;
            assert!(
                began.elapsed() < ACCEPTED_WITHIN,
                "turn {n} of {} was not accepted",
                self.name
            );
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    fn record_accepted(self: &Arc<Self>, n: u64, job: &str, at_once: bool) {
        let mut records = self.ledger.records();
        records.turns.insert(job.to_owned(), n);
        if !at_once {
            records.repeated.push(Repeated {
                session: Arc::clone(self),
                n,
                job: job.to_owned(),
            });
        }
        drop(records);
        self.ledger.accepted.send_modify(|accepted| *accepted += 1);
    }

    /// Submits turn `n` once.
    pub(crate) async fn try_submit(&self, n: u64) -> reqwest::Result<Answer> {
        let job = json!({
            "session_id": self.name,
            "input": turn_text(&self.name, n),
            "priority": self.class,
        });
        let key = turn_key(&self.name, n);
        let _turn = self.at_once.acquire().await;
        self.client.try_submit(&job, Some(&key)).await
    }
}

/// The results of the submits so far.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The number of accepted turns.
    pub(crate) accepted: watch::Sender<usize>,
    records: Mutex<Records>,
}

/// The details of the ledger.
#[derive(Default)]
pub(crate) struct Records {
    /// The number of each accepted job's turn in its session.
    pub(crate) turns: HashMap<String, u64>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) unanswered: usize,
    /// Turns that were first refused or not answered, and accepted later.
    pub(crate) repeated: Vec<Repeated>,
}

/// A turn that was submitted more than once, and its job.
pub(crate) struct Repeated {
    pub(crate) session: Arc<Session>,
    pub(crate) n: u64,
    pub(crate) job: String,
}

impl Ledger {
    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
