//! The code, the retry and the fault of each error.

use serde_json::{Value, json};

use super::classify_within_success;
use crate::provider::{
    Failure,
    Fault::{self, Call, RateLimit, Server, Unavailable},
    Retry::{self, AfterMs, Backoff, LessContext, Never},
    http::Received,
};

/// An answer (status, body, delay) and the failure that it must be (code, retry, fault).
type Row<B> = (u16, B, Option<u64>, &'static str, Retry, Fault);

fn classify(status: u16, retry_after_ms: Option<u64>, body: &[u8]) -> Failure {
    super::classify(&Received {
        retry_after_ms,
        ..Received::with_body(status, body)
    })
}

#[test]
fn each_status_has_a_code_and_a_retry() {
    let nothing = json!({"error": {"message": "no"}});
    let quota = json!({"error": {"message": "no", "type": "insufficient_quota", "code": "insufficient_quota"}});
    let long = json!({"error": {"message": "no", "code": "context_length_exceeded"}});
    let vllm = json!({"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400});
    let llama =
        json!({"error": {"code": 400, "message": "no", "type": "exceed_context_size_error"}});
    let gone = json!({"error": {"message": "no", "code": "model_not_found"}});
    let unknown = json!({"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404});
    let fastapi = json!({"detail": "Not Found"});
    let rows: Vec<Row<&Value>> = vec![
        (300, &nothing, None, "provider_error", Never, Call),
        (307, &nothing, Some(9), "provider_error", Never, Call),
        (400, &nothing, None, "invalid_request", Never, Call),
        (
            400,
            &long,
            None,
            "context_length_exceeded",
            LessContext,
            Call,
        ),
        (
            400,
            &vllm,
            None,
            "context_length_exceeded",
            LessContext,
            Call,
        ),
        (
            400,
            &llama,
            None,
            "context_length_exceeded",
            LessContext,
            Call,
        ),
        (
            413,
            &long,
            None,
            "context_length_exceeded",
            LessContext,
            Call,
        ),
        (
            500,
            &long,
            None,
            "context_length_exceeded",
            LessContext,
            Call,
        ),
        (
            500,
            &vllm,
            None,
            "context_length_exceeded",
            LessContext,
            Call,
        ),
        (
            500,
            &llama,
            Some(20),
            "context_length_exceeded",
            LessContext,
            Call,
        ),
        (401, &nothing, None, "authentication_failed", Never, Call),
        (402, &nothing, None, "insufficient_quota", Never, Call),
        (403, &nothing, None, "authentication_failed", Never, Call),
        (403, &gone, None, "model_not_found", Never, Call),
        (404, &nothing, None, "endpoint_not_found", Never, Call),
        (404, &gone, None, "model_not_found", Never, Call),
        (404, &unknown, None, "model_not_found", Never, Call),
        (404, &fastapi, None, "endpoint_not_found", Never, Call),
        (405, &nothing, None, "invalid_request", Never, Call),
        (408, &nothing, None, "provider_error", Backoff, Call),
        (409, &nothing, None, "provider_error", Backoff, Call),
        (413, &nothing, None, "invalid_request", Never, Call),
        (422, &nothing, None, "invalid_request", Never, Call),
        (425, &nothing, None, "provider_error", Backoff, Call),
        (429, &nothing, None, "rate_limited", Backoff, RateLimit),
        (
            429,
            &nothing,
            Some(1_500),
            "rate_limited",
            AfterMs(1_500),
            RateLimit,
        ),
        (429, &quota, Some(1_500), "insufficient_quota", Never, Call),
        (500, &nothing, None, "provider_error", Backoff, Server),
        (
            503,
            &nothing,
            Some(20),
            "provider_error",
            AfterMs(20),
            Unavailable,
        ),
        (529, &nothing, None, "provider_error", Backoff, Unavailable),
    ];
    for (status, body, retry_after_ms, code, retry, fault) in rows {
        let failure = classify(status, retry_after_ms, body.to_string().as_bytes());
        assert_eq!(
            (failure.error.code.as_str(), failure.retry, failure.fault),
            (code, retry, fault),
            "{status} {body}"
        );
    }
}

#[test]
fn the_message_is_found_in_every_form() {
    for body in [
        json!({"error": {"message": "why"}}),
        json!([{"error": {"message": "why"}}]),
        json!({"error": "why"}),
        json!({"message": "why"}),
        json!({"detail": "why"}),
    ] {
        let failure = classify(400, None, body.to_string().as_bytes());
        assert_eq!(
            failure.error.message, "the provider answered 400: why",
            "{body}"
        );
    }
    let failure = classify(502, None, b"<html>Bad gateway</html>");
    assert_eq!(
        failure.error.message,
        "the provider answered 502: Bad gateway"
    );
}

#[test]
fn errors_of_google_are_classified_as_in_the_gemini_api() {
    let violation = |quota: &str| json!({"violations": [{"quotaId": quota, "quotaValue": "15"}]});
    let wait = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.4s"});
    let error = |details: &[&Value]| json!({"error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED", "details": details}});
    let minute = error(&[&violation("GenerateRequestsPerMinutePerProject"), &wait]);
    let day = error(&[&violation("GenerateRequestsPerDayPerProject"), &wait]);
    let key = json!({"error": {"code": 400, "message": "no", "details": [{"reason": "API_KEY_INVALID"}]}});
    let rows: Vec<Row<Value>> = vec![
        (
            429,
            json!([minute]),
            None,
            "rate_limited",
            AfterMs(2_400),
            RateLimit,
        ),
        (
            429,
            minute.clone(),
            None,
            "rate_limited",
            AfterMs(2_400),
            RateLimit,
        ),
        (
            429,
            minute.clone(),
            Some(9_000),
            "rate_limited",
            AfterMs(9_000),
            RateLimit,
        ),
        (
            503,
            error(&[&wait]),
            None,
            "provider_error",
            AfterMs(2_400),
            RateLimit,
        ),
        (
            429,
            json!([day]),
            Some(1),
            "insufficient_quota",
            Never,
            Call,
        ),
        (
            400,
            json!([key]),
            None,
            "authentication_failed",
            Never,
            Call,
        ),
    ];
    for (status, body, retry_after_ms, code, retry, fault) in rows {
        let failure = classify(status, retry_after_ms, body.to_string().as_bytes());
        assert_eq!(
            (failure.error.code.as_str(), failure.retry, failure.fault),
            (code, retry, fault),
            "{status} {body}"
        );
    }
    let within_success = classify_within_success(&Received::with_body(200, b""), &minute["error"]);
    assert_eq!(within_success.retry, AfterMs(2_400));
}

#[test]
fn an_error_within_a_2xx_answer_is_classified_by_its_own_code() {
    for (error, code, retry, fault) in [
        (
            json!({"code": 429, "message": "slow"}),
            "rate_limited",
            Backoff,
            RateLimit,
        ),
        (
            json!({"code": 401, "message": "who"}),
            "authentication_failed",
            Never,
            Call,
        ),
        (
            json!({"code": "rate_limit_exceeded"}),
            "rate_limited",
            Backoff,
            RateLimit,
        ),
        (
            json!({"type": "invalid_request_error"}),
            "invalid_request",
            Never,
            Call,
        ),
        (
            json!({"code": "insufficient_quota"}),
            "insufficient_quota",
            Never,
            Call,
        ),
        (
            json!({"code": 400, "message": "maximum context length is 9"}),
            "context_length_exceeded",
            LessContext,
            Call,
        ),
        (
            json!({"code": "429", "message": "slow"}),
            "rate_limited",
            Backoff,
            RateLimit,
        ),
        (
            json!({"status": "RESOURCE_EXHAUSTED"}),
            "rate_limited",
            Backoff,
            RateLimit,
        ),
        (
            json!({"message": "something"}),
            "provider_error",
            Backoff,
            Server,
        ),
        (json!("something"), "provider_error", Backoff, Server),
    ] {
        let failure = classify_within_success(&Received::with_body(200, b""), &error);
        assert_eq!(
            (failure.error.code.as_str(), failure.retry, failure.fault),
            (code, retry, fault),
            "{error}"
        );
    }
}

#[test]
fn a_request_that_is_larger_than_the_limit_is_not_tried_again() {
    let too_large = "Request too large for m in organization o on tokens per min (TPM): Limit 30,000, Requested 41226. The input or output tokens must be reduced.";
    let of_groq = "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 11226, please reduce your message size and try again.";
    let full = "Rate limit reached for m on tokens per min (TPM): Limit 30000, Used 29000, Requested 1226. Please try again in 452ms.";
    let later =
        "Rate limit reached for m on requests per day (RPD): Limit 200, Used 200, Requested 1.";
    for (status, message, retry, fault) in [
        (429, too_large, Never, Call),
        (429, of_groq, Never, Call),
        (413, of_groq, Never, Call),
        (429, full, Backoff, RateLimit),
        (429, later, Backoff, RateLimit),
        (429, "Limit 5, Requested many", Backoff, RateLimit),
        (429, "Requested 5", Backoff, RateLimit),
    ] {
        let error = json!({"message": message, "type": "tokens", "code": "rate_limit_exceeded"});
        let failure = classify(status, None, json!({"error": error}).to_string().as_bytes());
        assert_eq!((failure.retry, failure.fault), (retry, fault), "{message}");
    }
}
