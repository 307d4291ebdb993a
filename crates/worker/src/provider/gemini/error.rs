//! Classifies an error in Google's form: `google.rpc.Status` as JSON.

use serde_json::Value;

use super::quota;
use crate::provider::{Failure, Retry, retry_after::DELAY_MS_MAX, status};

/// Classifies an answer whose status is not 2xx.
pub(super) fn classify(status: u16, retry_after_ms: Option<u64>, body: &[u8]) -> Failure {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    // Some endpoints wrap the error in an array of one element.
    let error = &body.get(0).unwrap_or(&body)["error"];
    classify_error(status, retry_after_ms, error)
}

/// Classifies an error in an answer whose status is 2xx. The error's own code replaces the status.
pub(super) fn classify_within_success(error: &Value) -> Failure {
    let code = error["code"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok());
    let status = code
        .filter(|code| (400..600).contains(code))
        .or_else(|| status_of(error["status"].as_str()?))
        .unwrap_or(500);
    classify_error(status, None, error)
}

fn classify_error(status: u16, retry_after_ms: Option<u64>, error: &Value) -> Failure {
    let message = error["message"].as_str().or_else(|| error.as_str());
    let failure = |code, retry| Failure::new(code, status::message(status, message), retry);
    if status == 400 && is_context_too_long(message.unwrap_or("")) {
        return failure("context_length_exceeded", Retry::LessContext);
    }
    // Gemini answers 400 to a wrong key.
    if details(error).any(|detail| detail["reason"] == "API_KEY_INVALID") {
        return failure("authentication_failed", Retry::Never);
    }
    if status == 429 && quota::is_exhausted(error) {
        return failure("insufficient_quota", Retry::Never);
    }
    let retry_delay_ms =
        details(error).find_map(|detail| duration_ms(detail["retryDelay"].as_str()?));
    // The longer one of the two delays satisfies both.
    status::classify(status, retry_delay_ms.max(retry_after_ms), message)
}

/// Recognises `The input token count (3475108) exceeds the maximum number of tokens allowed (1048576).`
fn is_context_too_long(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("token count") && message.contains("exceed")
}

fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error["details"].as_array().into_iter().flatten()
}

/// A duration in the JSON form of protocol buffers, such as `13s` or `1.500s`, in milliseconds. It is rounded
/// up, and at most [`DELAY_MS_MAX`].
fn duration_ms(text: &str) -> Option<u64> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    if seconds.is_nan() || seconds < 0.0 {
        return None;
    }
    let ms = (seconds * 1_000.0).ceil().min(DELAY_MS_MAX as f64);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is between 0 and the bound"
    )]
    Some(ms as u64)
}

/// The HTTP status that belongs to a `google.rpc.Code`.
fn status_of(name: &str) -> Option<u16> {
    Some(match name {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => 400,
        "UNAUTHENTICATED" => 401,
        "PERMISSION_DENIED" => 403,
        "NOT_FOUND" => 404,
        "RESOURCE_EXHAUSTED" => 429,
        "UNAVAILABLE" => 503,
        "DEADLINE_EXCEEDED" => 504,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{classify, classify_within_success, duration_ms};
    use crate::provider::{
        Retry::{AfterMs, Backoff, LessContext, Never},
        retry_after::DELAY_MS_MAX,
    };

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
        for (status, retry_after_ms, body, code, retry) in [
            (
                400,
                None,
                plain("INVALID_ARGUMENT"),
                "invalid_request",
                Never,
            ),
            (400, None, key, "authentication_failed", Never),
            (
                400,
                None,
                long.clone(),
                "context_length_exceeded",
                LessContext,
            ),
            (
                400,
                None,
                json!([long]),
                "context_length_exceeded",
                LessContext,
            ),
            (
                401,
                None,
                plain("UNAUTHENTICATED"),
                "authentication_failed",
                Never,
            ),
            (
                403,
                None,
                plain("PERMISSION_DENIED"),
                "authentication_failed",
                Never,
            ),
            (404, None, plain("NOT_FOUND"), "model_not_found", Never),
            (
                429,
                None,
                plain("RESOURCE_EXHAUSTED"),
                "rate_limited",
                Backoff,
            ),
            (429, None, slow.clone(), "rate_limited", AfterMs(13_000)),
            (429, Some(2_000), slow, "rate_limited", AfterMs(13_000)),
            (
                429,
                Some(2_000),
                plain("RESOURCE_EXHAUSTED"),
                "rate_limited",
                AfterMs(2_000),
            ),
            (429, None, day.clone(), "insufficient_quota", Never),
            (429, Some(2_000), day, "insufficient_quota", Never),
            (500, None, plain("INTERNAL"), "provider_error", Backoff),
            (
                503,
                Some(2_000),
                plain("UNAVAILABLE"),
                "provider_error",
                AfterMs(2_000),
            ),
            (503, None, json!("not an object"), "provider_error", Backoff),
        ] {
            let failure = classify(status, retry_after_ms, body.to_string().as_bytes());
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, retry),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_error_within_a_2xx_answer_is_classified_by_its_own_status() {
        for (error, code, retry) in [
            (
                json!({"code": 429, "message": "no"}),
                "rate_limited",
                Backoff,
            ),
            (json!({"status": "UNAVAILABLE"}), "provider_error", Backoff),
            (
                json!({"status": "INVALID_ARGUMENT"}),
                "invalid_request",
                Never,
            ),
            (json!({"message": "no"}), "provider_error", Backoff),
        ] {
            let failure = classify_within_success(&error);
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, retry),
                "{error}"
            );
        }
    }

    #[test]
    fn durations_are_read_and_bounded() {
        for (text, expected) in [
            ("13s", Some(13_000)),
            ("1.5s", Some(1_500)),
            ("0s", Some(0)),
            ("99999999999s", Some(DELAY_MS_MAX)),
            ("-1s", None),
            ("NaNs", None),
            ("13", None),
            ("", None),
        ] {
            assert_eq!(duration_ms(text), expected, "{text}");
        }
    }
}
