//! An error in OpenAI's form, or in one of the forms its imitators use, and what follows from it.

use serde_json::Value;

use crate::provider::{
    Failure, Retry,
    status::{self, pause},
};

/// The codes and types that say the context is too long.
const TOO_LONG_CODES: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];

/// What servers without such a code write instead, in lower case.
const TOO_LONG_WORDS: [&str; 5] = [
    "maximum context length",
    "context_length_exceeded",
    "context length exceeded",
    "exceeds the available context size",
    "prompt is too long",
];

/// An error as a service tells it: `{"error": {"message", "type", "code"}}`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    message: Option<String>,
    kind: String,
    code: String,
    /// A `code` that is a number, which some use for the status.
    number: Option<u16>,
}

/// Classifies an answer whose status is not one of success.
pub(super) fn classify(status: u16, retry_after_ms: Option<u64>, body: &[u8]) -> Failure {
    let said = serde_json::from_slice(body)
        .map(|body| said(&body))
        .unwrap_or_default();
    decide(status, retry_after_ms, &said)
}

/// Classifies an error that came with a status of success. Its own code stands for the status.
pub(super) fn classify_within_success(error: &Value) -> Failure {
    let said = said_by(error);
    let status = said
        .number
        .filter(|number| (400..600).contains(number))
        .or_else(|| status_of(&said.code))
        .or_else(|| status_of(&said.kind))
        .unwrap_or(500);
    decide(status, None, &said)
}

fn decide(status: u16, retry_after_ms: Option<u64>, said: &Said) -> Failure {
    let is = |word: &str| said.code == word || said.kind == word;
    let message = || status::message(status, said.message.as_deref());
    if status < 500 && is_too_long(said) {
        return Failure::new("context_length_exceeded", message(), Retry::LessContext);
    }
    if is("insufficient_quota") || is("billing_hard_limit_reached") {
        // It comes as a 429, but no pause brings money.
        return Failure::new("insufficient_quota", message(), Retry::Never);
    }
    if is("model_not_found") {
        return Failure::new("model_not_found", message(), Retry::Never);
    }
    if is("invalid_api_key") {
        return Failure::new("authentication_failed", message(), Retry::Never);
    }
    if is("rate_limit_exceeded") {
        return Failure::new("rate_limited", message(), pause(retry_after_ms));
    }
    status::classify(status, retry_after_ms, said.message.as_deref())
}

fn is_too_long(said: &Said) -> bool {
    let by_code = TOO_LONG_CODES
        .iter()
        .any(|code| said.code == *code || said.kind == *code);
    let message = said.message.as_deref().unwrap_or("").to_lowercase();
    by_code || TOO_LONG_WORDS.iter().any(|words| message.contains(words))
}

/// The status that a word stands for.
fn status_of(word: &str) -> Option<u16> {
    Some(match word {
        "invalid_request_error" | "bad_request" => 400,
        "authentication_error" | "permission_error" => 401,
        "not_found_error" => 404,
        "rate_limit_error" | "tokens" | "requests" => 429,
        _ => return None,
    })
}

fn said(body: &Value) -> Said {
    // Some wrap the whole in an array of one.
    let body = body.get(0).unwrap_or(body);
    match body.get("error") {
        Some(error) => said_by(error),
        None => said_by(body),
    }
}

fn said_by(error: &Value) -> Said {
    if let Some(message) = error.as_str() {
        return Said {
            message: Some(message.to_owned()),
            ..Said::default()
        };
    }
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    Said {
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
    fn each_status_has_its_code_and_its_retry() {
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
    fn an_error_within_a_success_is_classified_by_its_own_code() {
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
