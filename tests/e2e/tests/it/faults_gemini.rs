//! Tests of the faults of Gemini, over real HTTP.
//!
//! | fault | the job | code | tries spent | pause before the next attempt |
//! | --- | --- | --- | --- | --- |
//! | 200 | completed | | 1 | |
//! | `MAX_TOKENS`, with or without text | completed (`length`) | | 1 | |
//! | `SAFETY`, with or without text | completed (`content_filter`) | | 1 | |
//! | `promptFeedback` with a `blockReason` | failed | `content_blocked` | 1 | |
//! | 400 | failed | `invalid_request` | 1 | |
//! | 400 `API_KEY_INVALID`, 401, 403 | failed | `authentication_failed` | 1 | |
//! | 404 about a model | failed | `model_not_found` | 1 | |
//! | 404 about a path | failed | `endpoint_not_found` | 1 | |
//! | 429 | waits for the model | `rate_limited` | 0 | grows |
//! | 429 with `Retry-After: 1`, or `RetryInfo` of 1 s | waits for the model | `rate_limited` | 0 | at least 1 s |
//! | 429 for a quota per day, or a quota of 0, also with `Retry-After` or `RetryInfo` | failed | `insufficient_quota` | 1 | |
//! | 500 | failed | `provider_error` | all | grows |
//! | 503 with `Retry-After: 1` | waits for the provider | `provider_error` | 0 | at least 1 s |
//! | a reset connection, a body cut off | failed | `connection_failed` | all | grows |
//! | a stall, before the answer or within | failed | `provider_timeout` | all | grows |
//! | a body that never ends, fast | failed | `response_too_large` | 1 | |
//! | a body that never ends, slowly | failed | `provider_timeout` | all | grows |
//! | invalid JSON | failed | `invalid_response` | all | grows |
//! | `MALFORMED_FUNCTION_CALL` | failed | `invalid_response` | all | grows |
//! | `OTHER` | failed | `provider_error` | all | grows |
//! | an unknown finish reason | failed | `provider_error` | 1 | |
//! | an empty candidate, no candidates | failed | `empty_response` | all | grows |
//! | a part that a reply cannot contain, such as executed code | failed | `unsupported_response` | 1 | |
//! | 200 with an error in the body | as that error | | | |
//! | an error for too many tokens | more calls with less context, down to the last message; then failed | `context_length_exceeded` | 1 | |
//!
//! "All" is `FOREBAY_TRIES_MAX` tries. A growing pause starts at 50 to 100 % of `FOREBAY_BACKOFF_MS`.

use std::time::Duration;

use scripted_provider::{ProviderError, ScriptedReply};
use serde_json::{Value, json};

use crate::{
    faults::{CALL_TIMEOUT, FIRST_BYTE_TIMEOUT, RESPONSE_BYTES_MAX, fault_table},
    fixture::{Fixture, GEMINI},
};

const SECOND: Duration = Duration::from_secs(1);

fault_table! { GEMINI;
    a_good_answer: ScriptedReply::text("hello"), [] => Completed("stop", Some("hello"));
    max_tokens: ScriptedReply::finish("MAX_TOKENS", Some("half a")), [] => Completed("length", Some("half a"));
    max_tokens_without_text: ScriptedReply::finish("MAX_TOKENS", None), [] => Completed("length", None);
    safety: ScriptedReply::finish("SAFETY", None), [] => Completed("content_filter", None);
    safety_with_text: ScriptedReply::finish("SAFETY", Some("I")), [] => Completed("content_filter", Some("I"));
    prompt_feedback: ScriptedReply::gemini_blocked("PROHIBITED_CONTENT"), [] => Failed("content_blocked");
    status_400: ProviderError::new(400, "no"), [] => Failed("invalid_request");
    status_400_for_the_key: invalid_key(), [] => Failed("authentication_failed");
    status_401: ProviderError::new(401, "no"), [] => Failed("authentication_failed");
    status_403: ProviderError::new(403, "no"), [] => Failed("authentication_failed");
    status_404: ProviderError::new(404, "no such model"), [] => Failed("model_not_found");
    status_404_about_a_path: ProviderError::new(404, "Method not found."), [] => Failed("endpoint_not_found");
    status_429: ProviderError::new(429, "slow down"), [] => Waits("rate_limited", Duration::ZERO);
    status_429_with_retry_after: ProviderError::rate_limited(1), [] => Waits("rate_limited", SECOND);
    status_429_with_a_fraction: retry_info("1.0s"), [] => Waits("rate_limited", SECOND);
    status_429_with_retry_info: retry_info("1s"), [] => Waits("rate_limited", SECOND);
    status_429_with_a_quota_for_a_minute:
        quota("GenerateRequestsPerMinutePerProjectPerModel", "5"), [] => Waits("rate_limited", SECOND);
    status_429_with_a_quota_for_a_day:
        quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250"), [] => Failed("insufficient_quota");
    status_429_with_a_quota_of_0:
        quota("GenerateRequestsPerMinutePerProjectPerModel", "0"), [] => Failed("insufficient_quota");
    status_500: ProviderError::server_error(), [] => Retried("provider_error");
    status_503_with_retry_after:
        ProviderError::new(503, "overloaded").with_retry_after_s(1), [] => Waits("provider_error", SECOND);
    a_reset_connection: ScriptedReply::Reset, [] => Retried("connection_failed");
    a_body_cut_off: ScriptedReply::CutOff, [] => Retried("connection_failed");
    a_stall: ScriptedReply::Stall, [FIRST_BYTE_TIMEOUT] => Retried("provider_timeout");
    a_stall_within_the_body: ScriptedReply::StallInBody, [CALL_TIMEOUT] => Retried("provider_timeout");
    a_body_that_never_ends: endless(16 * 1_024), [RESPONSE_BYTES_MAX] => Failed("response_too_large");
    a_body_that_never_ends_slowly: endless(1), [RESPONSE_BYTES_MAX, CALL_TIMEOUT] => Retried("provider_timeout");
    invalid_json: ScriptedReply::InvalidJson, [] => Retried("invalid_response");
    malformed_function_call:
        ScriptedReply::finish("MALFORMED_FUNCTION_CALL", None), [] => Retried("invalid_response");
    finished_for_the_reason_other: ScriptedReply::finish("OTHER", Some("half a")), [] => Retried("provider_error");
    finished_for_an_unknown_reason: ScriptedReply::finish("TIRED", Some("half a")), [] => Failed("provider_error");
    an_empty_candidate: ScriptedReply::EmptyChoice, [] => Retried("empty_response");
    no_candidates: ScriptedReply::NoChoices, [] => Retried("empty_response");
    a_part_that_is_code: executed_code(), [] => Failed("unsupported_response");
    an_error_within_200: within_200(503, "UNAVAILABLE"), [] => Waits("provider_error", Duration::ZERO);
    a_rate_limit_within_200: within_200(429, "RESOURCE_EXHAUSTED"), [] => Waits("rate_limited", Duration::ZERO);
    a_final_error_within_200: within_200(403, "PERMISSION_DENIED"), [] => Failed("authentication_failed");
}

fn endless(chunk_bytes: usize) -> ScriptedReply {
    ScriptedReply::Endless {
        chunk_bytes,
        pause: Duration::from_millis(5),
    }
}

/// The body of an error in Gemini's format.
fn error(code: u16, status: &str, message: &str, details: &Value) -> Value {
    let error = json!({ "code": code, "message": message, "status": status, "details": details });
    json!({ "error": error })
}

/// A 200 with an error in its body.
fn within_200(code: u16, status: &str) -> ScriptedReply {
    ScriptedReply::json(200, error(code, status, "no", &json!([])))
}

/// Gemini's reply to a job with the tool `codeExecution` in its `extra_body`.
fn executed_code() -> ScriptedReply {
    let parts = json!([
        { "executableCode": { "language": "PYTHON", "code": "print(6 * 7)" } },
        { "codeExecutionResult": { "outcome": "OUTCOME_OK", "output": "42\n" } },
        { "text": "It is 42." },
    ]);
    let content = json!({ "role": "model", "parts": parts });
    let candidate = json!({ "content": content, "finishReason": "STOP" });
    ScriptedReply::json(200, json!({ "candidates": [candidate] }))
}

/// The 400 for an invalid key.
fn invalid_key() -> ScriptedReply {
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
    }]);
    let message = "API key not valid: test-key-gemini";
    ScriptedReply::json(400, error(400, "INVALID_ARGUMENT", message, &details))
}

/// A 429 that names a pause in its body.
fn retry_info(delay: &str) -> ScriptedReply {
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": delay,
    }]);
    ScriptedReply::json(429, error(429, "RESOURCE_EXHAUSTED", "slow down", &details))
}

/// A 429 for this quota. Like the real service, it names a pause for every kind of quota.
fn quota(id: &str, value: &str) -> ScriptedReply {
    let metric = "generativelanguage.googleapis.com/generate_content_requests";
    let details = json!([
        { "@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
            "quotaMetric": metric,
            "quotaId": id,
            "quotaDimensions": { "location": "global", "model": "gemini-test" },
            "quotaValue": value,
        }]},
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s" },
    ]);
    ScriptedReply::Json {
        status: 429,
        headers: vec![(String::from("retry-after"), String::from("1"))],
        body: error(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota.",
            &details,
        ),
    }
}

#[tokio::test]
async fn a_context_that_is_too_long_is_halved_and_sent_again() {
    let fixture = Fixture::with(&[("FOREBAY_MODEL", GEMINI)]).await;
    for turn in 0..3 {
        let id = fixture.submit_message("s", &format!("turn={turn}")).await;
        fixture.completed_text(&id).await;
    }
    // No model has a context of 8 tokens, so the counts are ignored, and half of the input is sent.
    let message = "The input token count (9) exceeds the maximum number of tokens allowed (8).";
    let too_long = || ScriptedReply::from(ProviderError::new(400, message));
    fixture
        .llm
        .queue_replies("turn=3", [too_long(), too_long(), too_long(), too_long()]);
    // The first job gets three of these errors and fails. The second job gets the fourth, and then a reply.
    let failed = fixture.submit_message("s", "turn=3").await;
    let halved = fixture.submit_message("s", "turn=3 again").await;
    let (failed, halved) = (fixture.wait(&failed).await, fixture.wait(&halved).await);
    assert_eq!(
        failed["error"]["code"], "context_length_exceeded",
        "{failed}"
    );
    assert_eq!(
        failed["attempts"].as_array().map(Vec::len),
        Some(1),
        "{failed}"
    );
    assert_eq!(halved["output"]["text"], "seen:2,3", "{halved}");
    assert_eq!(
        halved["attempts"].as_array().map(Vec::len),
        Some(1),
        "{halved}"
    );
    let records = fixture.llm.recorded_with("turn=3");
    let sent: Vec<usize> = records
        .iter()
        .map(|record| record.request.messages().len())
        .collect();
    assert_eq!(sent, [7, 3, 1, 7, 3]);
    fixture.assert_no_refusals();
}
