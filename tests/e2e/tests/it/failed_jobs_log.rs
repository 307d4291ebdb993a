//! Jobs that fail are shown in the log, with what an operator needs to find the cause, and at a bounded rate.

use std::time::Duration;

use scripted_provider::ProviderError;
use serde_json::{Value, json};

use crate::fixture::{Fixture, GPT, TIMEOUT};

/// The lines of the log with this message.
fn lines_with(fixture: &Fixture, message: &str) -> Vec<Value> {
    let log = fixture.forebay.logs();
    let lines = log
        .lines()
        .filter_map(|text| serde_json::from_str(text).ok());
    lines
        .filter(|entry: &Value| entry["message"] == message)
        .collect()
}

#[tokio::test]
async fn a_failed_job_causes_one_warning_with_all_that_identifies_it() {
    let json_log = ("FOREBAY_LOG_FORMAT", "json");
    let backoff = ("FOREBAY_BACKOFF_MS", "1");
    let tries = ("FOREBAY_TRIES_MAX", "3");
    let fixture = Fixture::with(&[json_log, backoff, tries]).await;
    let secret = "a-prompt-that-no-log-shows";
    for (session, error, code) in [
        (
            "wrong-key",
            ProviderError::unauthorized(),
            "authentication_failed",
        ),
        ("broken", ProviderError::server_error(), "provider_error"),
    ] {
        fixture.llm.add_rule(move |request| {
            let is_for_session = request.last_user_text().contains(session);
            is_for_session.then(|| error.clone().into())
        });
        let input = format!("{session} {secret}");
        let id = fixture.submit_message(session, &input).await;
        let job = fixture.wait(&id).await;
        assert_eq!(job["status"], "failed", "{job}");
        // The line is written after the response.
        let start = format!(r#""message":"a job failed","job_id":"{id}""#);
        fixture.forebay.wait_for_log(&start, TIMEOUT).await;
        let found = lines_with(&fixture, "a job failed");
        let own: Vec<&Value> = found
            .iter()
            .filter(|entry| entry["job_id"] == *id)
            .collect();
        let [entry] = own[..] else {
            panic!(
                "{} lines for the job:\n{}",
                own.len(),
                fixture.forebay.logs()
            );
        };
        assert_eq!(entry["level"], "WARN", "{entry}");
        assert_eq!(entry["session_id"], session, "{entry}");
        assert_eq!(entry["provider"], "openai", "{entry}");
        assert_eq!(entry["model"], GPT, "{entry}");
        assert_eq!(entry["code"], code, "{entry}");
        assert_eq!(entry["error"], job["error"]["message"], "{entry}");
    }
    assert!(!fixture.forebay.logs().contains(secret));
    assert!(!fixture.forebay.logs().contains("test-key"));
}

#[tokio::test]
async fn many_failed_jobs_cause_ten_warnings_a_second_and_a_count() {
    let fixture = Fixture::with(&[("FOREBAY_LOG_FORMAT", "json")]).await;
    fixture
        .llm
        .add_rule(|_| Some(ProviderError::unauthorized().into()));
    let gate = fixture.llm.gate_all_requests();
    let mut jobs = Vec::new();
    for _ in 0..200 {
        jobs.push(fixture.submit(&json!({ "input": "hi" })).await);
    }
    fixture.llm.wait_for_requests(jobs.len()).await;
    let began = std::time::Instant::now();
    gate.open();
    for id in &jobs {
        assert_eq!(fixture.wait(id).await["status"], "failed");
    }
    let seconds = began.elapsed().as_secs() + 2;
    let mut counted = 0;
    while counted < jobs.len() {
        assert!(began.elapsed() < TIMEOUT, "{}", fixture.forebay.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let failed = lines_with(&fixture, "a job failed").len();
        let log = fixture.forebay.logs();
        let reports = log.lines().filter(|text| text.contains("more jobs failed"));
        let reported: u64 = reports
            .filter_map(|text| serde_json::from_str::<Value>(text).ok()?["jobs"].as_u64())
            .sum();
        assert!(
            failed as u64 <= 10 * seconds,
            "{failed} lines in {seconds} s"
        );
        counted = failed + usize::try_from(reported).expect("the number fits into usize");
    }
    assert_eq!(counted, jobs.len());
}
