//! What the fault tables of both providers have in common: a row, and the test of one.
//!
//! Each row is tried twice at the same time: with a provider that fails again and again, which tells
//! the final status, and with one that fails once, which tells whether another try is made of it.

use std::time::Duration;

use scripted_provider::{ChatRequest, ScriptedReply};
use serde_json::{Value, json};

use crate::pair::Pair;

/// The pause before the second try, before jitter takes up to half of it.
const BACKOFF_MS: u64 = 100;
/// The tries at a job in these tests.
const TRIES_MAX: usize = 2;
/// What the scripted server answers once it fails no more.
const WELL: &str = "all is well";

/// What follows from a fault.
pub(crate) enum Then {
    /// It is a reply: completed, for this reason, with this text.
    Completed(&'static str, Option<&'static str>),
    /// Failed with this code at the first try.
    Failed(&'static str),
    /// Tried again after the growing pause, then failed with this code.
    Retried(&'static str),
    /// Tried again no sooner than the provider asked, then failed with this code.
    RetriedAfter(&'static str, Duration),
}

/// One row of a table of faults.
pub(crate) struct Row {
    /// The model, which decides the provider.
    pub(crate) model: &'static str,
    /// Settings that the row needs besides.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// What the provider does.
    pub(crate) fault: ScriptedReply,
    /// What follows.
    pub(crate) then: Then,
}

/// Makes one test for each row of a table.
macro_rules! fault_table {
    ($model:expr; $($name:ident: $fault:expr, [$($env:expr),*] => $then:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            use $crate::faults::Then::*;
            let row = $crate::faults::Row {
                model: $model,
                env: &[$($env),*],
                fault: $fault.into(),
                then: $then,
            };
            $crate::faults::holds(row).await;
        })*
    };
}
pub(crate) use fault_table;

/// A provider that is silent for longer than this before its answer begins is given up.
pub(crate) const FIRST_BYTE: (&str, &str) = ("FOREBAY_FIRST_BYTE_TIMEOUT_MS", "500");
/// A call that takes longer than this is given up.
pub(crate) const CALL: (&str, &str) = ("FOREBAY_CALL_TIMEOUT_S", "1");
/// No more than this is read of an answer.
pub(crate) const BYTES: (&str, &str) = ("FOREBAY_RESPONSE_BYTES_MAX", "65536");

/// Fails unless the row holds.
pub(crate) async fn holds(row: Row) {
    let (backoff, tries) = (BACKOFF_MS.to_string(), TRIES_MAX.to_string());
    let mut env = vec![
        ("FOREBAY_BACKOFF_MS", backoff.as_str()),
        ("FOREBAY_TRIES_MAX", tries.as_str()),
    ];
    env.extend_from_slice(row.env);
    let pair = Pair::with(&env).await;
    pair.llm.on("once", [row.fault.clone()]);
    let fault = row.fault;
    pair.llm.script(move |request: &ChatRequest| {
        let always = request.last_user_text().contains("always");
        Some(if always {
            fault.clone()
        } else {
            ScriptedReply::text(WELL)
        })
    });

    let said = |how: &str| json!({ "session_id": how, "model": row.model, "input": how });
    let always = pair.submit(&said("always")).await;
    let once = pair.submit(&said("once")).await;
    let (always, once) = (pair.wait(&always).await, pair.wait(&once).await);

    match row.then {
        Then::Completed(finish_reason, text) => {
            for (how, job) in [("always", &always), ("once", &once)] {
                is_completed(job, finish_reason, text, 1);
                asked(&pair, how, 1);
            }
        }
        Then::Failed(code) => {
            for (how, job) in [("always", &always), ("once", &once)] {
                is_failed(job, code, 1);
                asked(&pair, how, 1);
                is_without_trace(&pair, how).await;
            }
        }
        Then::Retried(code) => {
            let pause = Duration::from_millis(BACKOFF_MS / 2);
            is_retried(&pair, &always, &once, code, pause).await;
        }
        Then::RetriedAfter(code, pause) => {
            is_retried(&pair, &always, &once, code, pause).await;
        }
    }
}

async fn is_retried(pair: &Pair, always: &Value, once: &Value, code: &str, pause: Duration) {
    is_failed(always, code, TRIES_MAX);
    asked(pair, "always", TRIES_MAX);
    is_without_trace(pair, "always").await;
    is_completed(once, "stop", Some(WELL), 2);
    asked(pair, "once", 2);
    assert_eq!(once["attempts"][0]["error"]["code"], code, "{once}");
    assert_eq!(pair.held("once").await.len(), 2);
    for job in [always, once] {
        let paused = between(
            &job["attempts"][0]["ended_at"],
            &job["attempts"][1]["started_at"],
        );
        // The sweeper and a busy machine can make the pause longer.
        let most = pause + Duration::from_secs(60);
        assert!(paused >= pause && paused < most, "paused {paused:?}: {job}");
    }
}

fn is_completed(job: &Value, finish_reason: &str, text: Option<&str>, attempts: usize) {
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["finish_reason"], finish_reason, "{job}");
    assert_eq!(job["output"]["text"], json!(text), "{job}");
    assert_eq!(job["error"], Value::Null, "{job}");
    has_attempts(job, attempts);
}

fn is_failed(job: &Value, code: &str, attempts: usize) {
    assert_eq!(job["status"], "failed", "{job}");
    assert_eq!(job["error"]["code"], code, "{job}");
    assert_eq!(job["output"], Value::Null, "{job}");
    has_attempts(job, attempts);
    for attempt in job["attempts"].as_array().into_iter().flatten() {
        assert_eq!(attempt["error"]["code"], code, "{job}");
    }
    let message = job["error"]["message"].as_str().unwrap_or_default();
    assert!(
        !message.is_empty() && !message.contains("test-key"),
        "{job}"
    );
}

fn has_attempts(job: &Value, count: usize) {
    let attempts = job["attempts"].as_array().map(Vec::len);
    assert_eq!(attempts, Some(count), "{job}");
}

/// How often the provider was asked.
fn asked(pair: &Pair, how: &str, count: usize) {
    let records = pair.llm.recorded_with(how);
    assert_eq!(records.len(), count, "{}", pair.llm.listing());
}

/// A turn that failed leaves nothing in its session.
async fn is_without_trace(pair: &Pair, session: &str) {
    assert_eq!(pair.held(session).await, Vec::<String>::new());
}

/// The time between two of the API's times.
fn between(from: &Value, to: &Value) -> Duration {
    let ms_of_day = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        let number = |at: std::ops::Range<usize>| {
            let digits = text.get(at).and_then(|digits| digits.parse::<u64>().ok());
            digits.unwrap_or_else(|| panic!("no time: {value}"))
        };
        assert_eq!(text.len(), "2026-01-01T00:00:00.000Z".len(), "{value}");
        (number(11..13) * 60 + number(14..16)) * 60_000 + number(17..19) * 1_000 + number(20..23)
    };
    const DAY_MS: u64 = 86_400_000;
    // Over midnight the clock begins anew.
    Duration::from_millis((ms_of_day(to) + DAY_MS - ms_of_day(from)) % DAY_MS)
}
