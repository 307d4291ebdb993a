//! Retries of the client: it submits until it is accepted and waits until a job has ended, through refusals, restarts and
//! killed processes.
//!
//! It pauses between retries, because no event tells a client that a server is back.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Answer, Client, id_of, is_terminal};

/// The pause before a retry at a server that does not answer.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause that a `Retry-After` can cause.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// The longest `wait_s` of a request.
const WAIT_S_MAX: u64 = 30;

impl Client {
    /// Waits with `?wait_s=` until the job has ended, through restarts; returns the job.
    ///
    /// # Panics
    /// After `limit`, with the last answer; and at once if the answer is an error that stays, such as 404.
    pub async fn wait(&self, id: &str, limit: Duration) -> Value {
        let deadline = Instant::now() + limit;
        let mut last = String::from("nothing");
        while let Some(left) = time_left(deadline) {
            let wait_s = left.as_secs().clamp(1, WAIT_S_MAX);
            let path = format!("/v1/jobs/{id}?wait_s={wait_s}");
            match tokio::time::timeout(left + PAUSE_MAX, self.try_get(&path)).await {
                Ok(Ok(answer)) if answer.status == 200 => {
                    if is_terminal(&answer.body) {
                        return answer.body;
                    }
                    last = answer.body.to_string();
                }
                Ok(Ok(answer)) if is_transient(&answer) => last = pause_after(&answer).await,
                Ok(Ok(answer)) => panic!("job {id}: {}: {}", answer.status, answer.body),
                Ok(Err(error)) => {
                    last = format!("{error:?}");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(_) => last = String::from("no answer in time"),
            }
        }
        panic!("job {id} had not ended after {limit:?}; the last answer: {last}");
    }

    /// Submits with this idempotency key until the job is accepted, through restarts; returns the job.
    ///
    /// # Panics
    /// After `limit`, with the last answer; and at once if the answer is an error that stays.
    pub async fn submit_until_accepted(&self, job: &Value, key: &str, limit: Duration) -> Value {
        let deadline = Instant::now() + limit;
        let mut last = String::from("nothing");
        while let Some(left) = time_left(deadline) {
            match tokio::time::timeout(left, self.try_submit(job, Some(key))).await {
                Ok(Ok(answer)) if answer.status.is_success() => return answer.body,
                Ok(Ok(answer)) if is_transient(&answer) => last = pause_after(&answer).await,
                Ok(Ok(answer)) => panic!("submit {key}: {}: {}", answer.status, answer.body),
                Ok(Err(error)) => {
                    last = format!("{error:?}");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(_) => last = String::from("no answer in time"),
            }
        }
        panic!("submit {key} was not accepted after {limit:?}; the last answer: {last}");
    }

    /// Submits the turns 0 to `turns` - 1 of a session (`turn=<n>`). Each turn has its own idempotency key
    /// ([`turn_key`]) and is submitted when the one before is accepted. The fields of `extra` are added to each submit.
    /// Returns the jobs' ids in the same order.
    ///
    /// # Panics
    /// If a turn is not accepted within `limit`.
    pub async fn submit_turns(
        &self,
        session: &str,
        turns: u64,
        extra: &Value,
        limit: Duration,
    ) -> Vec<String> {
        let mut ids = Vec::new();
        for n in 0..turns {
            let mut job = json!({ "session_id": session, "input": turn_text(session, n) });
            for (name, value) in extra.as_object().into_iter().flatten() {
                job[name] = value.clone();
            }
            let key = turn_key(session, n);
            let accepted = self.submit_until_accepted(&job, &key, limit).await;
            ids.push(id_of(&accepted).to_owned());
        }
        ids
    }
}

/// The text of a session's turn `n`, which [`crate::order`] reads.
#[must_use]
pub fn turn_text(session: &str, n: u64) -> String {
    format!("session={session} turn={n}")
}

/// The idempotency key of a session's turn `n`.
#[must_use]
pub fn turn_key(session: &str, n: u64) -> String {
    format!("{session}:{n}")
}

fn time_left(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}

/// Whether the same request may get another answer later.
fn is_transient(answer: &Answer) -> bool {
    [429, 502, 503, 504].contains(&answer.status.as_u16())
}

/// Pauses for the answer's `Retry-After`, within bounds; returns the answer as text.
async fn pause_after(answer: &Answer) -> String {
    let asked = answer.header("retry-after").and_then(|s| s.parse().ok());
    let pause = asked.map_or(PAUSE, Duration::from_secs);
    tokio::time::sleep(pause.clamp(PAUSE, PAUSE_MAX)).await;
    format!("{}: {}", answer.status, answer.body)
}
