//! One session that submits its turns in order and repeats each submit until it is accepted. `SubmitLog`
//! records the outcome of each submit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use e2e::client::{Answer, Client, id_of, turn_key, turn_text};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::{pace::Pace, refusal::Refusal};

/// The pause before a repeated submit.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long a turn may be submitted again and again. Generous, so that only a failing test reaches it.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(300);

/// A session and the client that submits its turns.
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) class: &'static str,
    pub(crate) client: Client,
    /// Limits the concurrent submits of all sessions together.
    pub(crate) submit_permits: Arc<Semaphore>,
    pub(crate) submit_log: Arc<SubmitLog>,
}

impl Session {
    /// Submits the session's turns at this pace, after `delay`, until all are accepted or `stop` is cancelled.
    /// Returns the session's name and the ids of its jobs.
    pub(crate) async fn run(
        self: Arc<Self>,
        pace: Pace,
        delay: Duration,
        stop: CancellationToken,
    ) -> (String, Vec<String>) {
        let mut ids = Vec::new();
        tokio::time::sleep(delay).await;
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

    /// Submits turn `n` until it is accepted; returns the id of its job.
    async fn submit(self: &Arc<Self>, n: u64) -> String {
        let began = Instant::now();
        let mut is_first_try = true;
        loop {
            match self.try_submit(n).await {
                Ok(answer) if answer.status == 202 => {
                    let job = id_of(&answer.body).to_owned();
                    self.record_accepted(n, &job, is_first_try);
                    return job;
                }
                Ok(answer) => self
                    .submit_log
                    .records()
                    .refusals
                    .push(Refusal::from_answer(&answer)),
                Err(_) => self.submit_log.records().unanswered += 1,
            }
            is_first_try = false;
            assert!(
                began.elapsed() < ACCEPTED_WITHIN,
                "turn {n} of {} was not accepted within {ACCEPTED_WITHIN:?}",
                self.name
            );
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    fn record_accepted(self: &Arc<Self>, n: u64, job: &str, is_first_try: bool) {
        let mut records = self.submit_log.records();
        records.turns.insert(job.to_owned(), n);
        if !is_first_try {
            records.retried.push(RetriedTurn {
                session: Arc::clone(self),
                n,
                job: job.to_owned(),
            });
        }
        drop(records);
        self.submit_log
            .accepted
            .send_modify(|accepted| *accepted += 1);
    }

    /// Submits turn `n` once.
    pub(crate) async fn try_submit(&self, n: u64) -> reqwest::Result<Answer> {
        let job = json!({
            "session_id": self.name,
            "input": turn_text(&self.name, n),
            "priority": self.class,
        });
        let key = turn_key(&self.name, n);
        let _permit = self.submit_permits.acquire().await;
        self.client.try_submit(&job, Some(&key)).await
    }
}

/// The outcomes of all sessions' submits so far.
#[derive(Default)]
pub(crate) struct SubmitLog {
    /// The number of accepted turns.
    pub(crate) accepted: watch::Sender<usize>,
    records: Mutex<Records>,
}

/// The details of a [`SubmitLog`].
#[derive(Default)]
pub(crate) struct Records {
    /// The turn number of each accepted job within its session, by job id.
    pub(crate) turns: HashMap<String, u64>,
    /// Every refused submit.
    pub(crate) refusals: Vec<Refusal>,
    /// The number of submits without an answer.
    pub(crate) unanswered: usize,
    /// The turns that were refused or not answered at first, and accepted later.
    pub(crate) retried: Vec<RetriedTurn>,
}

/// A turn that was submitted more than once, and the id of its job.
pub(crate) struct RetriedTurn {
    pub(crate) session: Arc<Session>,
    pub(crate) n: u64,
    pub(crate) job: String,
}

impl SubmitLog {
    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
