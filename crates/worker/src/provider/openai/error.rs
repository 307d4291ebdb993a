//! Classifies an error in OpenAI's form, or in a form that compatible services use.

use serde_json::Value;

use crate::provider::{
    Failure, Retry,
    status::{self, after_or_backoff},
};

/// The codes and types of an error about the length of the context.
const CONTEXT_TOO_LONG_CODES: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];

/// Phrases of such errors, in lower case, for services that send no code.
const CONTEXT_TOO_LONG_PHRASES: [&str; 5] = [
    "maximum context length",
    "context_length_exceeded",
    "context length exceeded",
    "exceeds the available context size",
    "prompt is too long",
];

/// The parts of `{"error": {"message", "type", "code"}}`.
#[derive(Debug, Default, PartialEq, Eq)]
struct ApiError {
    message: Option<String>,
    /// The `type`; empty when there is none.
    kind: String,
    /// The `code` if it is a text; empty when there is none.
    code: String,
    /// The `code` if it is a number. Some services repeat the HTTP status there.
    number: Option<u16>,
}

/// Classifies an answer whose status is not 2xx.
pub(super) fn classify(status: u16, retry_after_ms: Option<u64>, body: &[u8]) -> Failure {
    let error = serde_json::from_slice(body)
        .map(|body| find_in(&body))
        .unwrap_or_default();
    classify_error(status, retry_after_ms, &error)
}

/// Classifies an error in an answer whose status is 2xx. The error's own code replaces the status.
pub(super) fn classify_within_success(error: &Value) -> Failure {
    let error = parse(error);
    let status = error
        .number
        .filter(|number| (400..600).contains(number))
        .or_else(|| status_of(&error.code))
        .or_else(|| status_of(&error.kind))
        .unwrap_or(500);
    classify_error(status, None, &error)
}

fn classify_error(status: u16, retry_after_ms: Option<u64>, error: &ApiError) -> Failure {
    let has_code = |code: &str| error.code == code || error.kind == code;
    let message = || status::message(status, error.message.as_deref());
    if status < 500 && is_context_too_long(error) {
        return Failure::new("context_length_exceeded", message(), Retry::LessContext);
    }
    if has_code("insufficient_quota") || has_code("billing_hard_limit_reached") {
        // The status is 429, but waiting does not restore the quota.
        return Failure::new("insufficient_quota", message(), Retry::Never);
    }
    if has_code("model_not_found") {
        return Failure::new("model_not_found", message(), Retry::Never);
    }
    if has_code("invalid_api_key") {
        return Failure::new("authentication_failed", message(), Retry::Never);
    }
    if has_code("rate_limit_exceeded") {
        return Failure::new("rate_limited", message(), after_or_backoff(retry_after_ms));
    }
    status::classify(status, retry_after_ms, error.message.as_deref())
}

fn is_context_too_long(error: &ApiError) -> bool {
    let by_code = CONTEXT_TOO_LONG_CODES
        .iter()
        .any(|code| error.code == *code || error.kind == *code);
    let message = error.message.as_deref().unwrap_or("").to_lowercase();
    by_code
        || CONTEXT_TOO_LONG_PHRASES
            .iter()
            .any(|phrase| message.contains(phrase))
}

/// The status that belongs to a `code` or `type`.
fn status_of(code: &str) -> Option<u16> {
    Some(match code {
        "invalid_request_error" | "bad_request" => 400,
        "authentication_error" | "permission_error" => 401,
        "not_found_error" => 404,
        "rate_limit_error" | "tokens" | "requests" => 429,
        _ => return None,
    })
}

/// The error in the body of an answer.
fn find_in(body: &Value) -> ApiError {
    // Some services wrap the body in an array of one element.
    let body = body.get(0).unwrap_or(body);
    parse(body.get("error").unwrap_or(body))
}

fn parse(error: &Value) -> ApiError {
    if let Some(message) = error.as_str() {
        return ApiError {
            message: Some(message.to_owned()),
            ..ApiError::default()
        };
    }
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    ApiError {
        message: text("message").or_else(|| text("detail")),
        kind: text("type").unwrap_or_default(),
        code: text("code").unwrap_or_default(),
        number: error
            .get("code")
            .and_then(Value::as_u64)
            .and_then(|number| u16::try_from(number).ok()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{classify, classify_within_success};
    use crate::provider::Retry::{self, AfterMs, Backoff, LessContext, Never};

    #[test]
    fn each_status_has_a_code_and_a_retry() {
        let nothing = json!({"error": {"message": "no"}});
        let quota = json!({"error": {"message": "no", "type": "insufficient_quota", "code": "insufficient_quota"}});
        let long = json!({"error": {"message": "no", "code": "context_length_exceeded"}});
        let vllm = json!({"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400});
        let llama =
            json!({"error": {"code": 400, "message": "no", "type": "exceed_context_size_error"}});
        let gone = json!({"error": {"message": "no", "code": "model_not_found"}});
        let rows: Vec<(u16, &Value, Option<u64>, &str, Retry)> = vec![
            (300, &nothing, None, "provider_error", Never),
            (307, &nothing, Some(9), "provider_error", Never),
            (400, &nothing, None, "invalid_request", Never),
            (400, &long, None, "context_length_exceeded", LessContext),
            (400, &vllm, None, "context_length_exceeded", LessContext),
            (400, &llama, None, "context_length_exceeded", LessContext),
            (413, &long, None, "context_length_exceeded", LessContext),
            (401, &nothing, None, "authentication_failed", Never),
            (402, &nothing, None, "insufficient_quota", Never),
            (403, &nothing, None, "authentication_failed", Never),
            (403, &gone, None, "model_not_found", Never),
            (404, &nothing, None, "model_not_found", Never),
            (405, &nothing, None, "invalid_request", Never),
            (408, &nothing, None, "provider_error", Backoff),
            (409, &nothing, None, "provider_error", Backoff),
            (413, &nothing, None, "invalid_request", Never),
            (422, &nothing, None, "invalid_request", Never),
            (425, &nothing, None, "provider_error", Backoff),
            (429, &nothing, None, "rate_limited", Backoff),
            (429, &nothing, Some(1_500), "rate_limited", AfterMs(1_500)),
            (429, &quota, Some(1_500), "insufficient_quota", Never),
            (500, &nothing, None, "provider_error", Backoff),
            (503, &nothing, Some(20), "provider_error", AfterMs(20)),
            (529, &nothing, None, "provider_error", Backoff),
        ];
        for (status, body, retry_after_ms, code, retry) in rows {
            let failure = classify(status, retry_after_ms, body.to_string().as_bytes());
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, retry),
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
        assert_eq!(failure.error.message, "the provider answered 502");
    }

    #[test]
    fn an_error_within_a_2xx_answer_is_classified_by_its_own_code() {
        for (error, code, retry) in [
            (
                json!({"code": 429, "message": "slow"}),
                "rate_limited",
                Backoff,
            ),
            (
                json!({"code": 401, "message": "who"}),
                "authentication_failed",
                Never,
            ),
            (
                json!({"code": "rate_limit_exceeded"}),
                "rate_limited",
                Backoff,
            ),
            (
                json!({"type": "invalid_request_error"}),
                "invalid_request",
                Never,
            ),
            (
                json!({"code": "insufficient_quota"}),
                "insufficient_quota",
                Never,
            ),
            (
                json!({"code": 400, "message": "maximum context length is 9"}),
                "context_length_exceeded",
                LessContext,
            ),
            (json!({"message": "something"}), "provider_error", Backoff),
            (json!("something"), "provider_error", Backoff),
        ] {
            let failure = classify_within_success(&error);
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, retry),
                "{error}"
            );
        }
    }
}
