//! Tests of the faults of an OpenAI-compatible provider, over real HTTP.
//!
//! | fault | the job | code | tries spent | pause before the next attempt |
//! | --- | --- | --- | --- | --- |
//! | 200 | completed | | 1 | |
//! | 200 with the finish reason `length` | completed (`length`) | | 1 | |
//! | 200 with the finish reason `content_filter`, with or without text | completed (`content_filter`) | | 1 | |
//! | 400, 422 | failed | `invalid_request` | 1 | |
//! | 401, 403 | failed | `authentication_failed` | 1 | |
//! | 404 about a model | failed | `model_not_found` | 1 | |
//! | 404 about a path | failed | `endpoint_not_found` | 1 | |
//! | 429 | waits for the model | `rate_limited` | 0 | grows |
//! | 429 with `Retry-After: 1`, with a fraction, or with another such header | waits for the model | `rate_limited` | 0 | at least 1 s |
//! | 429 in Google's form with a `RetryInfo` of 1 s | waits for the model | `rate_limited` | 0 | at least 1 s |
//! | 429 in Google's form for a quota per day | failed | `insufficient_quota` | 1 | |
//! | 429 `insufficient_quota` | failed | `insufficient_quota` | 1 | |
//! | 500 | failed | `provider_error` | all | grows |
//! | 503 with `Retry-After: 1` | waits for the provider | `provider_error` | 0 | at least 1 s |
//! | a reset connection, a body cut off | failed | `connection_failed` | all | grows |
//! | a stall, before the answer or within | failed | `provider_timeout` | all | grows |
//! | a body that never ends, fast | failed | `response_too_large` | 1 | |
//! | a body that never ends, slowly | failed | `provider_timeout` | all | grows |
//! | invalid JSON, JSON of another shape | failed | `invalid_response` | all | grows |
//! | an empty choice, no choice | failed | `empty_response` | all | grows |
//! | 200 with the finish reason `error`, `abort` or `insufficient_system_resource` | failed | `provider_error` | all | grows |
//! | 200 with an unknown finish reason | failed | `provider_error` | 1 | |
//! | 200 with an `error` in the body | as that error | | | |
//! | 307 | failed | `provider_error` | 1 | |
//! | `context_length_exceeded` | more calls with less context, down to the last message; then failed | `context_length_exceeded` | 1 | |
//!
//! "All" is `FOREBAY_TRIES_MAX` tries. A growing pause starts at 50 to 100 % of `FOREBAY_BACKOFF_MS`.

use std::time::Duration;

use e2e::fleet::{TIMEOUT, poll_until};
use scripted_provider::{ProviderError, ScriptedReply};
use serde_json::{Value, json};

use crate::{
    faults::{CALL_TIMEOUT, FIRST_BYTE_TIMEOUT, RESPONSE_BYTES_MAX, fault_table},
    fixture::{Fixture, GPT},
};

const SECOND: Duration = Duration::from_secs(1);

fault_table! { GPT;
    a_good_answer: ScriptedReply::text("hello"), [] => Completed("stop", Some("hello"));
    length: ScriptedReply::finish("length", Some("half a")), [] => Completed("length", Some("half a"));
    length_without_text: ScriptedReply::finish("length", None), [] => Completed("length", None);
    content_filter: ScriptedReply::finish("content_filter", Some("I")), [] => Completed("content_filter", Some("I"));
    content_filter_without_text: ScriptedReply::finish("content_filter", None), [] => Completed("content_filter", None);
    status_400: ProviderError::new(400, "no"), [] => Failed("invalid_request");
    status_401: ProviderError::unauthorized(), [] => Failed("authentication_failed");
    status_403: ProviderError::new(403, "no"), [] => Failed("authentication_failed");
    status_404: ProviderError::new(404, "no such model"), [] => Failed("model_not_found");
    status_404_about_a_path: status(404, "404 page not found"), [] => Failed("endpoint_not_found");
    status_404_without_a_body: status(404, ""), [] => Failed("endpoint_not_found");
    status_422: ProviderError::new(422, "no"), [] => Failed("invalid_request");
    status_429: ProviderError::new(429, "slow down"), [] => Waits("rate_limited", Duration::ZERO);
    status_429_with_retry_after: ProviderError::rate_limited(1), [] => Waits("rate_limited", SECOND);
    status_429_with_a_fraction: slow_down("retry-after", "1.0"), [] => Waits("rate_limited", SECOND);
    status_429_with_milliseconds: slow_down("retry-after-ms", "1000.0"), [] => Waits("rate_limited", SECOND);
    status_429_with_the_header_of_a_proxy:
        slow_down("llm_provider-retry-after", "0.999999"), [] => Waits("rate_limited", SECOND);
    status_429_of_google: google_quota("GenerateRequestsPerMinute"), [] => Waits("rate_limited", SECOND);
    status_429_of_google_for_a_day: google_quota("GenerateRequestsPerDay"), [] => Failed("insufficient_quota");
    status_429_insufficient_quota: ProviderError::insufficient_quota(), [] => Failed("insufficient_quota");
    status_429_insufficient_quota_with_retry_after:
        ProviderError::insufficient_quota().with_retry_after_s(1), [] => Failed("insufficient_quota");
    status_500: ProviderError::server_error(), [] => Retried("provider_error");
    status_500_with_a_page: status(500, "<html>oops</html>"), [] => Retried("provider_error");
    status_503_with_retry_after:
        ProviderError::new(503, "busy").with_retry_after_s(1), [] => Waits("provider_error", SECOND);
    a_reset_connection: ScriptedReply::Reset, [] => Retried("connection_failed");
    a_body_cut_off: ScriptedReply::CutOff, [] => Retried("connection_failed");
    a_stall: ScriptedReply::Stall, [FIRST_BYTE_TIMEOUT] => Retried("provider_timeout");
    a_stall_that_ends_with_the_call_timeout: ScriptedReply::Stall, [CALL_TIMEOUT] => Retried("provider_timeout");
    a_stall_within_the_body: ScriptedReply::StallInBody, [CALL_TIMEOUT] => Retried("provider_timeout");
    a_body_that_never_ends: endless(16 * 1_024), [RESPONSE_BYTES_MAX] => Failed("response_too_large");
    a_body_that_never_ends_slowly: endless(1), [RESPONSE_BYTES_MAX, CALL_TIMEOUT] => Retried("provider_timeout");
    invalid_json: ScriptedReply::InvalidJson, [] => Retried("invalid_response");
    json_of_another_shape: ScriptedReply::json(200, json!({ "choices": 7 })), [] => Retried("invalid_response");
    an_empty_body: status(200, ""), [] => Retried("invalid_response");
    an_empty_choice: ScriptedReply::EmptyChoice, [] => Retried("empty_response");
    no_choices: ScriptedReply::NoChoices, [] => Retried("empty_response");
    finished_with_an_error: ScriptedReply::finish("error", Some("half a")), [] => Retried("provider_error");
    finished_with_an_abort: ScriptedReply::finish("abort", None), [] => Retried("provider_error");
    finished_by_an_overload:
        ScriptedReply::finish("insufficient_system_resource", Some("half a")), [] => Retried("provider_error");
    finished_for_an_unknown_reason: ScriptedReply::finish("tired", Some("half a")), [] => Failed("provider_error");
    an_error_within_200: within_200("rate_limit_exceeded"), [] => Waits("rate_limited", Duration::ZERO);
    a_final_error_within_200: within_200("invalid_api_key"), [] => Failed("authentication_failed");
    a_redirect: ScriptedReply::Status {
        code: 307,
        headers: vec![(String::from("location"), String::from("http://127.0.0.1:9/v1"))],
        body: String::new(),
    }, [] => Failed("provider_error");
}

fn status(code: u16, body: &str) -> ScriptedReply {
    ScriptedReply::Status {
        code,
        headers: Vec::new(),
        body: body.to_owned(),
    }
}

/// A 429 with this header.
fn slow_down(header: &str, value: &str) -> ScriptedReply {
    ScriptedReply::Json {
        status: 429,
        headers: vec![(header.to_owned(), value.to_owned())],
        body: json!({ "error": { "message": "slow down" } }),
    }
}

/// A 429 of Google's OpenAI-compatible endpoint, with a delay of 1 s.
fn google_quota(quota_id: &str) -> ScriptedReply {
    let details = json!([
        { "violations": [{ "quotaId": quota_id, "quotaValue": "15" }] },
        { "retryDelay": "1s" },
    ]);
    let error =
        json!({ "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "no", "details": details });
    ScriptedReply::json(429, json!([{ "error": error }]))
}

fn endless(chunk_bytes: usize) -> ScriptedReply {
    ScriptedReply::Endless {
        chunk_bytes,
        pause: Duration::from_millis(5),
    }
}

/// A 200 with an error in its body.
fn within_200(code: &str) -> ScriptedReply {
    ScriptedReply::json(200, json!({ "error": { "message": "no", "code": code } }))
}

/// The number of messages in each request whose last message contains this text.
fn messages_sent(fixture: &Fixture, text: &str) -> Vec<usize> {
    let records = fixture.llm.recorded_with(text);
    let counts = records.iter().map(|record| record.request.messages().len());
    counts.collect()
}

/// Completes three jobs of a session and submits a fourth. The provider refuses the first `refusals` requests of the
/// fourth job as too long. Returns the fourth job when it has ended.
async fn fourth_job(refusals: usize) -> (Fixture, Value) {
    let fixture = Fixture::start().await;
    for number in 0..3 {
        let id = fixture.submit_message("s", &format!("turn={number}")).await;
        fixture.completed_text(&id).await;
    }
    let too_long = || ScriptedReply::from(ProviderError::context_length_exceeded());
    fixture
        .llm
        .queue_replies("turn=3", (0..refusals).map(|_| too_long()));
    let id = fixture.submit_message("s", "turn=3").await;
    let job = fixture.wait(&id).await;
    (fixture, job)
}

#[tokio::test]
async fn a_context_that_is_too_long_is_halved_and_sent_again() {
    let (fixture, job) = fourth_job(1).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
    assert_eq!(messages_sent(&fixture, "turn=3"), [7, 3]);
    assert_eq!(job["output"]["text"], "seen:2,3");
    assert_eq!(
        (&job["turns_sent"], &job["turns_dropped"]),
        (&json!(3), &json!(4))
    );
    // The session keeps the turns that were not sent.
    assert_eq!(fixture.session_turns("s").await.len(), 8);
}

#[tokio::test]
async fn a_job_fails_if_its_shortest_context_is_too_long() {
    let (fixture, job) = fourth_job(3).await;
    assert_eq!(job["status"], "failed", "{job}");
    assert_eq!(job["error"]["code"], "context_length_exceeded", "{job}");
    assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
    assert_eq!(messages_sent(&fixture, "turn=3"), [7, 3, 1]);
    assert_eq!(fixture.session_turns("s").await.len(), 6);
}

#[tokio::test]
async fn a_job_fails_if_its_only_message_is_too_long() {
    let fixture = Fixture::start().await;
    let too_long = || ScriptedReply::from(ProviderError::context_length_exceeded());
    fixture
        .llm
        .queue_replies("turn=0", [too_long(), too_long()]);
    let id = fixture.submit_message("s", "turn=0").await;
    let job = fixture.wait(&id).await;
    assert_eq!(job["error"]["code"], "context_length_exceeded", "{job}");
    let message = job["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("even the last message"), "{job}");
    assert!(message.contains("context.max_input_tokens"), "{job}");
    assert_eq!(messages_sent(&fixture, "turn=0"), [1]);
}

#[tokio::test]
async fn a_job_waits_while_the_provider_does_not_listen() {
    let fixture = Fixture::with(&[
        // Nothing listens on port 9 of this machine.
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
        ("FOREBAY_TRIES_MAX", "2"),
        ("FOREBAY_BACKOFF_MS", "50"),
    ])
    .await;
    let id = fixture.submit_message("s", "hi").await;
    let mut job = json!(null);
    let waits_after_three_attempts = async || {
        job = fixture.job(&id).await;
        job["attempts"].as_array().map_or(0, Vec::len) > 2 && job["waiting_for"] == "openai"
    };
    assert!(
        poll_until(TIMEOUT, waits_after_three_attempts).await,
        "{job}"
    );
    assert_eq!(job["status"], "queued", "{job}");
    assert_eq!(job["waiting_error"]["code"], "connection_failed", "{job}");
}

#[tokio::test]
async fn a_job_fails_without_a_call_if_its_provider_has_no_key() {
    // Only OpenAI's own server requires a key. It is not called here.
    let fixture = Fixture::with(&[
        ("OPENAI_BASE_URL", "https://api.openai.com/v1"),
        ("OPENAI_API_KEY", ""),
        ("GEMINI_API_KEY", ""),
    ])
    .await;
    for model in ["gpt-test", "gemini-test", "openai/x", "gemini/x"] {
        let job = json!({ "input": "hi", "model": model });
        let id = fixture.submit(&job).await;
        let job = fixture.wait(&id).await;
        assert_eq!(job["status"], "failed", "{job}");
        assert_eq!(job["error"]["code"], "provider_not_configured", "{job}");
        assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
        assert_eq!(job["output"], Value::Null, "{job}");
    }
    assert_eq!(fixture.llm.stats().requests, 0);
}
