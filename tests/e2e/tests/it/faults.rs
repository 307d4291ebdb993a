//! The test of one fault of a provider. The fault tables of both providers have a row for each fault.
//!
//! Each test submits two jobs. The provider answers all calls of one job with the fault, which shows the job's final
//! status. It answers only the first call of the other job with the fault, which shows whether the job is tried again.

use std::time::{Duration, Instant};

use e2e::{
    fleet::{TIMEOUT, poll_until},
    slowdown,
};
use scripted_provider::{ChatRequest, ScriptedReply};
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// The backoff before the second try. Jitter shortens it by up to half.
const BACKOFF_MS: u64 = 100;
/// The limit on the tries of a job in these tests.
const TRIES_MAX: usize = 2;
/// The scripted provider's reply without a fault.
const GOOD_REPLY: &str = "a good reply";

/// The expected end of the job whose calls are all answered with the fault.
pub(crate) enum Expected {
    /// The job completes with this finish reason and this text; `None` stands for null.
    Completed(&'static str, Option<&'static str>),
    /// The job fails with this code after the first try.
    Failed(&'static str),
    /// The job is tried again after the backoff, and then fails with this code.
    Retried(&'static str),
    /// After this error, no call to the provider begins for at least this long. The job waits, and no try is counted.
    Waits(&'static str, Duration),
}

/// One row of a fault table.
pub(crate) struct Row {
    /// The model of the jobs, which selects the provider.
    pub(crate) model: &'static str,
    /// Additional environment variables.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// The provider's answer.
    pub(crate) fault: ScriptedReply,
    /// The expected end of the job whose calls are all answered with the fault.
    pub(crate) expected: Expected,
}

/// Generates one test for each row of a table.
macro_rules! fault_table {
    ($model:expr; $($name:ident: $fault:expr, [$($env:expr),*] => $expected:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            use $crate::faults::Expected::*;
            let row = $crate::faults::Row {
                model: $model,
                env: &[$($env),*],
                fault: $fault.into(),
                expected: $expected,
            };
            $crate::faults::check(row).await;
        })*
    };
}
pub(crate) use fault_table;

/// A timeout for the first byte of an answer. A good reply arrives in this time on a busy machine too.
pub(crate) const FIRST_BYTE_TIMEOUT: (&str, &str) = ("FOREBAY_FIRST_BYTE_TIMEOUT_MS", "2000");
/// A timeout for a call. A good reply arrives in this time on a busy machine too.
pub(crate) const CALL_TIMEOUT: (&str, &str) = ("FOREBAY_CALL_TIMEOUT_S", "3");
/// A limit on the size of an answer.
pub(crate) const RESPONSE_BYTES_MAX: (&str, &str) = ("FOREBAY_RESPONSE_BYTES_MAX", "65536");

/// Runs the jobs of a row and asserts that they end as expected.
pub(crate) async fn check(row: Row) {
    let (backoff, tries) = (BACKOFF_MS.to_string(), TRIES_MAX.to_string());
    let mut env = vec![
        ("FOREBAY_BACKOFF_MS", backoff.as_str()),
        ("FOREBAY_TRIES_MAX", tries.as_str()),
    ];
    env.extend_from_slice(row.env);
    let began = slowdown::measure();
    let fixture = Fixture::with(&env).await;
    fixture.llm.queue_replies("once", [row.fault.clone()]);
    let fault = row.fault;
    fixture.llm.add_rule(move |request: &ChatRequest| {
        let always_fails = request.last_user_text().contains("always");
        Some(if always_fails {
            fault.clone()
        } else {
            ScriptedReply::text(GOOD_REPLY)
        })
    });

    let job = |input: &str| json!({ "session_id": input, "model": row.model, "input": input });
    if let Expected::Waits(code, pause) = row.expected {
        assert_waits(&fixture, job, code, pause).await;
        return;
    }
    let always = fixture.submit(&job("always")).await;
    let once = fixture.submit(&job("once")).await;
    let (always, once) = (fixture.wait(&always).await, fixture.wait(&once).await);

    match row.expected {
        Expected::Completed(finish_reason, text) => {
            for (input, job) in [("always", &always), ("once", &once)] {
                assert_completed(job, finish_reason, text, 1);
                assert_calls(&fixture, input, 1);
            }
        }
        Expected::Failed(code) => {
            for (input, job) in [("always", &always), ("once", &once)] {
                assert_failed(job, code, 1);
                assert_calls(&fixture, input, 1);
                assert_no_turns(&fixture, input).await;
            }
        }
        Expected::Retried(code) => {
            let pause = Duration::from_millis(BACKOFF_MS / 2);
            assert_retried(&fixture, &always, &once, code, pause, began).await;
        }
        Expected::Waits(..) => unreachable!("checked above"),
    }
}

/// Asserts that `once` completes after the pause. Then `always` must wait, also after more calls than a job has tries.
async fn assert_waits(fixture: &Fixture, job: impl Fn(&str) -> Value, code: &str, pause: Duration) {
    let once = fixture.submit(&job("once")).await;
    let once = fixture.wait(&once).await;
    assert_completed(&once, "stop", Some(GOOD_REPLY), 2);
    assert_calls(fixture, "once", 2);
    assert_eq!(once["attempts"][0]["error"]["code"], code, "{once}");
    assert_eq!(fixture.session_turns("once").await.len(), 2);
    let paused = time_between(
        &once["attempts"][0]["ended_at"],
        &once["attempts"][1]["started_at"],
    );
    assert!(paused >= pause, "the pause was {paused:?}: {once}");

    let always = fixture.submit(&job("always")).await;
    let mut shown = Value::Null;
    let waits = async || {
        shown = fixture.job(&always).await;
        let attempts = shown["attempts"].as_array().map_or(0, Vec::len);
        attempts > TRIES_MAX && shown["waiting_for"].is_string()
    };
    assert!(poll_until(TIMEOUT, waits).await, "{shown}");
    assert_eq!(shown["status"], "queued", "{shown}");
    assert_eq!(shown["waiting_error"]["code"], code, "{shown}");
    for attempt in shown["attempts"].as_array().into_iter().flatten() {
        assert_eq!(attempt["error"]["code"], code, "{shown}");
    }
    assert_no_turns(fixture, "always").await;
}

/// Asserts that both jobs were tried again after the pause. Then `always` must have failed and `once` completed.
async fn assert_retried(
    fixture: &Fixture,
    always: &Value,
    once: &Value,
    code: &str,
    pause: Duration,
    began: Instant,
) {
    assert_failed(always, code, TRIES_MAX);
    assert_calls(fixture, "always", TRIES_MAX);
    assert_no_turns(fixture, "always").await;
    assert_completed(once, "stop", Some(GOOD_REPLY), 2);
    assert_calls(fixture, "once", 2);
    assert_eq!(once["attempts"][0]["error"]["code"], code, "{once}");
    assert_eq!(fixture.session_turns("once").await.len(), 2);
    for job in [always, once] {
        let paused = time_between(
            &job["attempts"][0]["ended_at"],
            &job["attempts"][1]["started_at"],
        );
        // The sweeper and a busy machine can make the pause longer.
        let now = Instant::now();
        let slowdown = slowdown::between(began, now);
        let stalled = slowdown::stalled_between(began, now);
        let pause_max = pause + Duration::from_secs(5).mul_f64(slowdown) + stalled;
        assert!(
            paused >= pause && paused < pause_max,
            "the pause was {paused:?}: {job}"
        );
    }
}

fn assert_completed(job: &Value, finish_reason: &str, text: Option<&str>, attempts: usize) {
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["finish_reason"], finish_reason, "{job}");
    assert_eq!(job["output"]["text"], json!(text), "{job}");
    assert_eq!(job["error"], Value::Null, "{job}");
    assert_attempts(job, attempts);
}

fn assert_failed(job: &Value, code: &str, attempts: usize) {
    assert_eq!(job["status"], "failed", "{job}");
    assert_eq!(job["error"]["code"], code, "{job}");
    assert_eq!(job["output"], Value::Null, "{job}");
    assert_attempts(job, attempts);
    for attempt in job["attempts"].as_array().into_iter().flatten() {
        assert_eq!(attempt["error"]["code"], code, "{job}");
    }
    let message = job["error"]["message"].as_str().unwrap_or_default();
    assert!(
        !message.is_empty() && !message.contains("test-key"),
        "the message is empty or shows a key: {job}"
    );
}

fn assert_attempts(job: &Value, count: usize) {
    let attempts = job["attempts"].as_array().map(Vec::len);
    assert_eq!(attempts, Some(count), "{job}");
}

fn assert_calls(fixture: &Fixture, input: &str, count: usize) {
    let records = fixture.llm.recorded_with(input);
    assert_eq!(records.len(), count, "{}", fixture.llm.listing());
}

/// Asserts that the session has no turns, because a failed job adds none.
async fn assert_no_turns(fixture: &Fixture, session: &str) {
    assert_eq!(fixture.session_turns(session).await, Vec::<String>::new());
}

/// The time between two timestamps of the API.
fn time_between(from: &Value, to: &Value) -> Duration {
    let ms_of_day = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        let number = |range: std::ops::Range<usize>| {
            let digits = text
                .get(range)
                .and_then(|digits| digits.parse::<u64>().ok());
            digits.unwrap_or_else(|| panic!("{value} is not a timestamp of the API"))
        };
        assert_eq!(text.len(), "2026-01-01T00:00:00.000Z".len(), "{value}");
        (number(11..13) * 60 + number(14..16)) * 60_000 + number(17..19) * 1_000 + number(20..23)
    };
    const DAY_MS: u64 = 86_400_000;
    // The second time may be after midnight.
    Duration::from_millis((ms_of_day(to) + DAY_MS - ms_of_day(from)) % DAY_MS)
}
