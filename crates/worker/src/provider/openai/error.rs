//! Classifies an error in OpenAI's form, or in a form that compatible services use.

use serde_json::Value;

use crate::provider::{
    Failure, context_length,
    error_body::{self, ErrorBody},
    fault, google_error,
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
        .or_else(|| status_of(text(error, "code")))
        .or_else(|| status_of(text(error, "type")))
        .or_else(|| google_error::status_code(error))
        .unwrap_or(500);
    let status = ErrorStatus::of(received).with_code(code);
    classify_error(status, &error_body::of_error(error))
}

fn classify_error(status: ErrorStatus<'_>, body: &ErrorBody) -> Failure {
    let ErrorBody { error, message } = body;
    let message = message.as_deref();
    let has_code = |code: &str| text(error, "code") == code || text(error, "type") == code;
    if let Some(stated) = context_length::read(error, message.unwrap_or("")) {
        return Failure::context_too_long(status.message(message), stated);
    }
    let is_quota_exhausted = has_code("insufficient_quota")
        || has_code("billing_hard_limit_reached")
        || (status.code == 429 && google_error::is_quota_exhausted(error));
    if is_quota_exhausted {
        // The status is usually 429, but a retry after a delay cannot restore the quota.
        return status.permanent("insufficient_quota", message);
    }
    if has_code("model_not_found") {
        return status.permanent("model_not_found", message);
    }
    if has_code("invalid_api_key") || google_error::is_key_invalid(error) {
        return status.permanent("authentication_failed", message);
    }
    if (400..500).contains(&status.code) && fault::is_larger_than_limit(message.unwrap_or("")) {
        return status.permanent("invalid_request", message);
    }
    let status = status.with_delay_ms(google_error::retry_delay_ms(error));
    if has_code("rate_limit_exceeded") {
        let retry = status.after_or_backoff();
        return Failure::new("rate_limited", status.message(message), retry)
            .with_fault(status.fault(error, message));
    }
    status.classify(error, message)
}

/// The text of an error's field. Empty if the field is not a text.
fn text<'a>(error: &'a Value, name: &str) -> &'a str {
    error[name].as_str().unwrap_or("")
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

#[cfg(test)]
mod tests;
