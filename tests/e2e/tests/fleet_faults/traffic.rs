//! Traffic that goes on while something breaks: sessions that submit a few turns as fast as they are
//! accepted, pause, and go on, each turn under an idempotency key. What is refused or not answered is
//! noted, and tried again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use e2e::{
    client::{Answer, Client, id_of, turn_key, turn_text},
    fleet::{Accepted, Fleet, LIMIT, Load, until},
    order::SessionRun,
};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Turns that a session submits one right after the other.
const BURST: u64 = 3;
/// A session ends by itself before its oldest turns would be forgotten.
const TURNS_MAX: u64 = 96;
/// A client's pause after a refusal, or when no answer came.
const AGAIN: Duration = Duration::from_millis(200);
/// How long everything may take after the last submit.
const DONE_WITHIN: Duration = Duration::from_secs(90);

/// How much traffic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How many sessions submit side by side.
    pub(crate) sessions: usize,
    /// How long a session pauses between its bursts.
    pub(crate) pause: Duration,
}

impl Pace {
    /// 40 sessions, each of about two turns a second.
    pub(crate) const USUAL: Self = Self {
        sessions: 40,
        pause: Duration::from_millis(1_500),
    };
}

/// A submit that was refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) at: Instant,
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) retry_after: Option<String>,
}

impl Refusal {
    pub(crate) fn of(answer: &Answer) -> Self {
        Self {
            at: Instant::now(),
            status: answer.status.as_u16(),
            code: answer.body["code"].as_str().unwrap_or("?").to_owned(),
            retry_after: answer.header("retry-after").map(str::to_owned),
        }
    }

    /// Fails unless it is a 503 of this code that says when to come again.
    pub(crate) fn assert_503(&self, codes: &[&str]) {
        assert_eq!(self.status, 503, "{self:?}");
        assert!(codes.contains(&self.code.as_str()), "{self:?}");
        let seconds = self.retry_after.as_ref().and_then(|s| s.parse().ok());
        assert!(seconds.is_some_and(|s: u64| s >= 1), "{self:?}");
    }
}

#[derive(Debug, Default)]
struct Ledger {
    accepted: usize,
    refusals: Vec<Refusal>,
    unanswered: usize,
}

/// Traffic under way.
pub(crate) struct Traffic {
    pace: Pace,
    stop: CancellationToken,
    sessions: JoinSet<(String, Vec<String>)>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Traffic {
    /// Begins.
    pub(crate) fn start(fleet: &Fleet, pace: Pace) -> Self {
        let mut traffic = Self {
            pace,
            stop: CancellationToken::new(),
            sessions: JoinSet::new(),
            ledger: Arc::default(),
        };
        for n in 0..pace.sessions {
            let session = Session {
                name: format!("s-{n}"),
                client: fleet.client.clone(),
                stop: traffic.stop.clone(),
                ledger: Arc::clone(&traffic.ledger),
            };
            let begin = pace.pause.mul_f64(n as f64 / pace.sessions as f64);
            traffic.sessions.spawn(session.run(begin, pace.pause));
        }
        traffic
    }

    /// How many turns were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        lock(&self.ledger).accepted
    }

    /// What was refused so far.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        lock(&self.ledger).refusals.clone()
    }

    /// How many submits got no answer so far.
    pub(crate) fn unanswered(&self) -> usize {
        lock(&self.ledger).unanswered
    }

    /// Waits until so many more turns than now are accepted.
    pub(crate) async fn goes_on(&self, count: usize) {
        let wanted = self.accepted() + count;
        let enough = until(LIMIT, async || self.accepted() >= wanted).await;
        assert!(enough, "{} accepted, not {wanted}", self.accepted());
    }

    /// Ends the submits, waits until all jobs have ended, and checks that each completed, in order, each
    /// reply made from all turns before it, and each context in Redis is exactly the accepted turns.
    pub(crate) async fn end_in_order(self, fleet: &Fleet) -> Vec<SessionRun> {
        let load = Load {
            sessions: self.pace.sessions,
            turns: TURNS_MAX,
            limit: DONE_WITHIN,
        };
        self.stop.cancel();
        let (refused, unanswered) = (self.refusals().len(), self.unanswered());
        let accepted: Accepted = self.sessions.join_all().await;
        let turns: usize = accepted.iter().map(|(_, ids)| ids.len()).sum();
        println!("{turns} turns accepted, {refused} submits refused, {unanswered} not answered");
        let runs = load.assert_in_order(fleet, accepted).await;
        fleet.live_jobs_become(0, LIMIT).await;
        runs
    }
}

struct Session {
    name: String,
    client: Client,
    stop: CancellationToken,
    ledger: Arc<Mutex<Ledger>>,
}

impl Session {
    async fn run(self, begin: Duration, pause: Duration) -> (String, Vec<String>) {
        let mut ids = Vec::new();
        tokio::time::sleep(begin).await;
        for n in 0..TURNS_MAX {
            if n > 0 && n % BURST == 0 {
                let paused = tokio::time::sleep(pause);
                self.stop.run_until_cancelled(paused).await;
                if self.stop.is_cancelled() {
                    break;
                }
            }
            ids.push(self.submit(n).await);
        }
        (self.name, ids)
    }

    async fn submit(&self, n: u64) -> String {
        let job = json!({ "session_id": self.name, "input": turn_text(&self.name, n) });
        let key = turn_key(&self.name, n);
        let began = Instant::now();
        loop {
            match self.client.try_submit(&job, Some(&key)).await {
                Ok(answer) if answer.status == 202 => {
                    lock(&self.ledger).accepted += 1;
                    return id_of(&answer.body).to_owned();
                }
                Ok(answer) => lock(&self.ledger).refusals.push(Refusal::of(&answer)),
                Err(_) => lock(&self.ledger).unanswered += 1,
            }
            assert!(began.elapsed() < DONE_WITHIN, "{key} is never accepted");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
