//! Classifies an error in Google's form: `google.rpc.Status` as JSON.

use serde_json::Value;

use crate::provider::{
    Failure, context_length,
    error_body::{self, ErrorBody},
    google_error,
    http::Received,
    status::{self, ErrorStatus},
};

/// Classifies an answer whose status is not 2xx.
pub(super) fn classify(received: &Received) -> Failure {
    classify_error(ErrorStatus::of(received), &error_body::read(&received.body))
}

/// Classifies `error` in an answer whose status is 2xx. The error's own code replaces the status.
pub(super) fn classify_within_success(received: &Received, error: &Value) -> Failure {
    let code = status::status_code_in(error)
        .or_else(|| google_error::status_code(error))
        .unwrap_or(500);
    let status = ErrorStatus::of(received).with_code(code);
    classify_error(status, &error_body::of_error(error))
}

fn classify_error(status: ErrorStatus<'_>, body: &ErrorBody) -> Failure {
    let ErrorBody { error, message } = body;
    let message = message.as_deref();
    if let Some(stated) = context_length::read(error, message.unwrap_or("")) {
        return Failure::context_too_long(status.message(message), stated);
    }
    if google_error::is_key_invalid(error) {
        return status.permanent("authentication_failed", message);
    }
    if status.code == 429 && google_error::is_quota_exhausted(error) {
        return status.permanent("insufficient_quota", message);
    }
    let status = status.with_delay_ms(google_error::retry_delay_ms(error));
    status.classify(error, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::classify_within_success;
    use crate::provider::{
        Failure,
        Fault::{Call, RateLimit, Server, Unavailable},
        Retry::{AfterMs, Backoff, LessContext, Never},
        http::Received,
    };

    fn classify(status: u16, retry_after_ms: Option<u64>, body: &[u8]) -> Failure {
        super::classify(&Received {
            retry_after_ms,
            ..Received::with_body(status, body)
        })
    }

    fn error(status: &str, message: &str, details: &Value) -> Value {
        json!({"error": {"code": 0, "status": status, "message": message, "details": details}})
    }

    #[test]
    fn each_error_has_a_code_and_a_retry() {
        let plain = |status| error(status, "no", &json!([]));
        let key = error(
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            &json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]),
        );
        let long = error(
            "INVALID_ARGUMENT",
            "The input token count (3475108) exceeds the maximum number of tokens allowed (1048576).",
            &json!([]),
        );
        let gone = error(
            "NOT_FOUND",
            "models/m is not found for API version v1beta, or is not supported for generateContent.",
            &json!([]),
        );
        let slow = error(
            "RESOURCE_EXHAUSTED",
            "no",
            &json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"}]),
        );
        let day = error(
            "RESOURCE_EXHAUSTED",
            "no",
            &json!([
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
                    "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "250"
                }]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"},
            ]),
        );
        for (status, retry_after_ms, body, code, retry, fault) in [
            (
                400,
                None,
                plain("INVALID_ARGUMENT"),
                "invalid_request",
                Never,
                Call,
            ),
            (400, None, key, "authentication_failed", Never, Call),
            (
                400,
                None,
                long.clone(),
                "context_length_exceeded",
                LessContext,
                Call,
            ),
            (
                400,
                None,
                json!([long]),
                "context_length_exceeded",
                LessContext,
                Call,
            ),
            (
                401,
                None,
                plain("UNAUTHENTICATED"),
                "authentication_failed",
                Never,
                Call,
            ),
            (
                403,
                None,
                plain("PERMISSION_DENIED"),
                "authentication_failed",
                Never,
                Call,
            ),
            (
                404,
                None,
                plain("NOT_FOUND"),
                "endpoint_not_found",
                Never,
                Call,
            ),
            (404, None, gone, "model_not_found", Never, Call),
            (
                429,
                None,
                plain("RESOURCE_EXHAUSTED"),
                "rate_limited",
                Backoff,
                RateLimit,
            ),
            (
                429,
                None,
                slow.clone(),
                "rate_limited",
                AfterMs(13_000),
                RateLimit,
            ),
            (
                429,
                Some(2_000),
                slow,
                "rate_limited",
                AfterMs(13_000),
                RateLimit,
            ),
            (
                429,
                Some(2_000),
                plain("RESOURCE_EXHAUSTED"),
                "rate_limited",
                AfterMs(2_000),
                RateLimit,
            ),
            (429, None, day.clone(), "insufficient_quota", Never, Call),
            (429, Some(2_000), day, "insufficient_quota", Never, Call),
            (
                500,
                None,
                plain("INTERNAL"),
                "provider_error",
                Backoff,
                Server,
            ),
            (
                503,
                Some(2_000),
                plain("UNAVAILABLE"),
                "provider_error",
                AfterMs(2_000),
                Unavailable,
            ),
            (
                503,
                None,
                json!("not an object"),
                "provider_error",
                Backoff,
                Unavailable,
            ),
        ] {
            let failure = classify(status, retry_after_ms, body.to_string().as_bytes());
            assert_eq!(
                (failure.error.code.as_str(), failure.retry, failure.fault),
                (code, retry, fault),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_error_within_a_2xx_answer_is_classified_by_its_own_status() {
        for (error, code, retry, fault) in [
            (
                json!({"code": 429, "message": "no"}),
                "rate_limited",
                Backoff,
                RateLimit,
            ),
            (
                json!({"status": "UNAVAILABLE"}),
                "provider_error",
                Backoff,
                Unavailable,
            ),
            (
                json!({"status": "INVALID_ARGUMENT"}),
                "invalid_request",
                Never,
                Call,
            ),
            (json!({"message": "no"}), "provider_error", Backoff, Server),
        ] {
            let failure = classify_within_success(&Received::with_body(200, b""), &error);
            assert_eq!(
                (failure.error.code.as_str(), failure.retry, failure.fault),
                (code, retry, fault),
                "{error}"
            );
        }
    }
}
