//! Retries of the client. The client repeats submits and reads until they succeed, and waits until jobs have ended, even
//! while gateways refuse requests, restart or are killed.
//!
//! The client pauses between retries, because no event reports that a server accepts requests again.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Answer, Client, id_of, is_terminal};

/// The pause before a retry if there is no `Retry-After`.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause that a `Retry-After` can cause.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// The longest `wait_s` that [`Client::wait`] sends.
const WAIT_S_MAX: u64 = 30;

impl Client {
    /// Waits with `?wait_s=` until the job has ended, also while processes restart. Returns the job.
    ///
    /// # Panics
    /// After `timeout`, with the last answer. Immediately if the answer is an error that a retry cannot change, such as
    /// 404.
    pub async fn wait(&self, id: &str, timeout: Duration) -> Value {
        let request = |remaining: Duration| {
            let wait_s = remaining.as_secs().clamp(1, WAIT_S_MAX);
            let path = format!("/v1/jobs/{id}?wait_s={wait_s}");
            async move { self.try_get(&path).await }
        };
        let has_ended = |answer: &Answer| is_terminal(&answer.body);
        repeat(
            &format!("the wait for job {id}"),
            timeout,
            request,
            has_ended,
        )
        .await
    }

    /// Sends `GET` of this path until the answer is a success, also while processes restart. Returns the body. On a busy
    /// machine, Redis can answer a gateway too late, so every route may answer 503. Clients must repeat such a request.
    ///
    /// # Panics
    /// After `timeout`, with the last answer. Immediately if the answer is an error that a retry cannot change.
    pub async fn get_until_ok(&self, path: &str, timeout: Duration) -> Value {
        let request = |_remaining| self.try_get(path);
        repeat(&format!("GET {path}"), timeout, request, |_| true).await
    }

    /// Submits with this idempotency key until the job is accepted, also while processes restart. Returns the job.
    ///
    /// # Panics
    /// After `timeout`, with the last answer. Immediately if the answer is an error that a retry cannot change.
    pub async fn submit_until_accepted(&self, job: &Value, key: &str, timeout: Duration) -> Value {
        let request = |_remaining| self.try_submit(job, Some(key));
        repeat(&format!("submit {key}"), timeout, request, |_| true).await
    }

    /// Submits until the job is accepted, as [`submit_until_accepted`](Self::submit_until_accepted) does, with a new key.
    ///
    /// # Panics
    /// After `timeout`, with the last answer. Immediately if the answer is an error that a retry cannot change.
    pub async fn submit_until_ok(&self, job: &Value, timeout: Duration) -> Value {
        let key = Uuid::new_v4().to_string();
        self.submit_until_accepted(job, &key, timeout).await
    }

    /// Submits the turns 0 to `turns` - 1 of a session ([`turn_text`]). Each turn has its own idempotency key
    /// ([`turn_key`]) and is submitted when the previous turn is accepted. The fields of `extra` are added to each
    /// submit. Returns the jobs' ids in the same order.
    ///
    /// # Panics
    /// If a turn is not accepted within `timeout`.
    pub async fn submit_turns(
        &self,
        session: &str,
        turns: u64,
        extra: &Value,
        timeout: Duration,
    ) -> Vec<String> {
        let mut ids = Vec::new();
        for turn in 0..turns {
            let mut job = json!({ "session_id": session, "input": turn_text(session, turn) });
            for (name, value) in extra.as_object().into_iter().flatten() {
                job[name] = value.clone();
            }
            let key = turn_key(session, turn);
            let accepted = self.submit_until_accepted(&job, &key, timeout).await;
            ids.push(id_of(&accepted).to_owned());
        }
        ids
    }
}

/// The input of the turn with this number in a session. [`crate::order`] reads this text.
#[must_use]
pub fn turn_text(session: &str, turn: u64) -> String {
    format!("session={session} turn={turn}")
}

/// The idempotency key of the turn with this number in a session.
#[must_use]
pub fn turn_key(session: &str, turn: u64) -> String {
    format!("{session}:{turn}")
}

/// Repeats a request until it succeeds and `is_done` accepts the answer. Returns the body. The argument of `request` is the
/// remaining time.
async fn repeat<A: Future<Output = reqwest::Result<Answer>>>(
    name: &str,
    timeout: Duration,
    request: impl Fn(Duration) -> A,
    is_done: impl Fn(&Answer) -> bool,
) -> Value {
    let deadline = Instant::now() + timeout;
    let mut last_answer = String::from("none");
    while let Some(remaining) = time_remaining(deadline) {
        match tokio::time::timeout(remaining + PAUSE_MAX, request(remaining)).await {
            Ok(Ok(answer)) if answer.status.is_success() => {
                if is_done(&answer) {
                    return answer.body;
                }
                last_answer = answer.body.to_string();
            }
            Ok(Ok(answer)) if is_transient(&answer) => last_answer = pause_after(&answer).await,
            Ok(Ok(answer)) => panic!("{name}: {}: {}", answer.status, answer.body),
            Ok(Err(error)) => {
                last_answer = format!("{error:?}");
                tokio::time::sleep(PAUSE).await;
            }
            Err(_) => last_answer = String::from("no answer in time"),
        }
    }
    panic!("{name} did not succeed within {timeout:?}; the last answer: {last_answer}");
}

/// The time until the deadline; `None` when the deadline has passed.
fn time_remaining(deadline: Instant) -> Option<Duration> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    (!remaining.is_zero()).then_some(remaining)
}

/// Whether a later retry of the request may get another answer.
fn is_transient(answer: &Answer) -> bool {
    [429, 502, 503, 504].contains(&answer.status.as_u16())
}

/// Pauses for the answer's `Retry-After`, within bounds. Returns the answer as text.
async fn pause_after(answer: &Answer) -> String {
    let retry_after_s = answer
        .header("retry-after")
        .and_then(|value| value.parse().ok());
    let pause = retry_after_s.map_or(PAUSE, Duration::from_secs);
    tokio::time::sleep(pause.clamp(PAUSE, PAUSE_MAX)).await;
    format!("{}: {}", answer.status, answer.body)
}
