//! One session. It submits its turns in order, and repeats each submit until the turn is accepted. `SubmitLog` records
//! the outcome of each submit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use e2e::client::{Answer, Client, id_of, turn_key, turn_text};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::{pace::Pace, refusal::Refusal};

/// The pause before a repeated submit.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long a turn may be submitted repeatedly. Only failing tests reach this time.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(300);

/// A session and the client that submits its turns.
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) class: &'static str,
    pub(crate) client: Client,
    /// Limits the concurrent submits of all sessions together.
    pub(crate) submit_permits: Arc<Semaphore>,
    /// Limits the turns of all sessions together until the test allows more.
    pub(crate) turn_permits: Arc<Semaphore>,
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
        for turn in 0..pace.turns {
            if turn > 0 && turn % pace.burst == 0 {
                let pause = tokio::time::sleep(pace.pause);
                stop.run_until_cancelled(pause).await;
                if stop.is_cancelled() {
                    break;
                }
            }
            let permit = stop.run_until_cancelled(self.turn_permits.acquire()).await;
            let Some(Ok(permit)) = permit else { break };
            permit.forget();
            ids.push(self.submit(turn).await);
        }
        (self.name.clone(), ids)
    }

    /// Submits the turn with this number until it is accepted. Returns the id of its job.
    async fn submit(self: &Arc<Self>, turn: u64) -> String {
        let began = Instant::now();
        let mut is_first_submit = true;
        loop {
            match self.try_submit(turn).await {
                Ok(answer) if answer.status == 202 => {
                    let job = id_of(&answer.body).to_owned();
                    self.record_accepted(turn, &job, is_first_submit);
                    return job;
                }
                Ok(answer) => self
                    .submit_log
                    .records()
                    .refusals
                    .push(Refusal::from_answer(&answer)),
                Err(_) => self.submit_log.records().unanswered += 1,
            }
            is_first_submit = false;
            assert!(
                began.elapsed() < ACCEPTED_WITHIN,
                "turn {turn} of {} was not accepted within {ACCEPTED_WITHIN:?}",
                self.name
            );
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    fn record_accepted(self: &Arc<Self>, turn: u64, job: &str, is_first_submit: bool) {
        let mut records = self.submit_log.records();
        records.turns.insert(job.to_owned(), turn);
        if !is_first_submit {
            records.retried.push(RetriedTurn {
                session: Arc::clone(self),
                turn,
                job: job.to_owned(),
            });
        }
        drop(records);
        self.submit_log
            .accepted
            .send_modify(|accepted| *accepted += 1);
    }

    /// Submits the turn with this number once.
    async fn try_submit(&self, turn: u64) -> reqwest::Result<Answer> {
        let key = turn_key(&self.name, turn);
        let _permit = self.submit_permits.acquire().await;
        self.client.try_submit(&self.job(turn), Some(&key)).await
    }

    /// Submits an accepted turn again, with the same key. Returns the id of the job in the answer.
    pub(crate) async fn submit_again(&self, turn: u64, limit: Duration) -> String {
        let (job, key) = (self.job(turn), turn_key(&self.name, turn));
        let accepted = self.client.submit_until_accepted(&job, &key, limit).await;
        id_of(&accepted).to_owned()
    }

    fn job(&self, turn: u64) -> Value {
        json!({
            "session_id": self.name,
            "input": turn_text(&self.name, turn),
            "priority": self.class,
        })
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
    pub(crate) turn: u64,
    pub(crate) job: String,
}

impl SubmitLog {
    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
