//! Classifies an error in OpenAI's form, or in a form that compatible services use.

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
    let status = status.with_delay_ms(google_error::retry_delay_ms(error));
    if has_code("rate_limit_exceeded") {
        let retry = status.after_or_backoff();
        return Failure::new("rate_limited", status.message(message), retry);
    }
    status.classify(message)
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
mod tests {
    use serde_json::{Value, json};

    use super::classify_within_success;
    use crate::provider::{
        Failure,
        Retry::{self, AfterMs, Backoff, LessContext, Never},
        http::Received,
    };

    fn classify(status: u16, retry_after_ms: Option<u64>, body: &[u8]) -> Failure {
        super::classify(&Received {
            status,
            path: String::from("/v1/chat/completions"),
            retry_after_ms,
            location: None,
            body: body.to_vec(),
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
        let rows: Vec<(u16, &Value, Option<u64>, &str, Retry)> = vec![
            (300, &nothing, None, "provider_error", Never),
            (307, &nothing, Some(9), "provider_error", Never),
            (400, &nothing, None, "invalid_request", Never),
            (400, &long, None, "context_length_exceeded", LessContext),
            (400, &vllm, None, "context_length_exceeded", LessContext),
            (400, &llama, None, "context_length_exceeded", LessContext),
            (413, &long, None, "context_length_exceeded", LessContext),
            (500, &long, None, "context_length_exceeded", LessContext),
            (500, &vllm, None, "context_length_exceeded", LessContext),
            (
                500,
                &llama,
                Some(20),
                "context_length_exceeded",
                LessContext,
            ),
            (401, &nothing, None, "authentication_failed", Never),
            (402, &nothing, None, "insufficient_quota", Never),
            (403, &nothing, None, "authentication_failed", Never),
            (403, &gone, None, "model_not_found", Never),
            (404, &nothing, None, "endpoint_not_found", Never),
            (404, &gone, None, "model_not_found", Never),
            (404, &unknown, None, "model_not_found", Never),
            (404, &fastapi, None, "endpoint_not_found", Never),
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
        assert_eq!(
            failure.error.message,
            "the provider answered 502: Bad gateway"
        );
    }

    #[test]
    fn errors_of_google_are_classified_as_in_the_gemini_api() {
        let violation =
            |quota: &str| json!({"violations": [{"quotaId": quota, "quotaValue": "15"}]});
        let wait =
            json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.4s"});
        let error = |details: &[&Value]| json!({"error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED", "details": details}});
        let minute = error(&[&violation("GenerateRequestsPerMinutePerProject"), &wait]);
        let day = error(&[&violation("GenerateRequestsPerDayPerProject"), &wait]);
        let key = json!({"error": {"code": 400, "message": "no", "details": [{"reason": "API_KEY_INVALID"}]}});
        let rows: Vec<(u16, Value, Option<u64>, &str, Retry)> = vec![
            (429, json!([minute]), None, "rate_limited", AfterMs(2_400)),
            (429, minute.clone(), None, "rate_limited", AfterMs(2_400)),
            (
                429,
                minute.clone(),
                Some(9_000),
                "rate_limited",
                AfterMs(9_000),
            ),
            (503, error(&[&wait]), None, "provider_error", AfterMs(2_400)),
            (429, json!([day]), Some(1), "insufficient_quota", Never),
            (400, json!([key]), None, "authentication_failed", Never),
        ];
        for (status, body, retry_after_ms, code, retry) in rows {
            let failure = classify(status, retry_after_ms, body.to_string().as_bytes());
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, retry),
                "{status} {body}"
            );
        }
        let within_success =
            classify_within_success(&Received::with_body(200, b""), &minute["error"]);
        assert_eq!(within_success.retry, AfterMs(2_400));
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
            (
                json!({"code": "429", "message": "slow"}),
                "rate_limited",
                Backoff,
            ),
            (
                json!({"status": "RESOURCE_EXHAUSTED"}),
                "rate_limited",
                Backoff,
            ),
            (json!({"message": "something"}), "provider_error", Backoff),
            (json!("something"), "provider_error", Backoff),
        ] {
            let failure = classify_within_success(&Received::with_body(200, b""), &error);
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, retry),
                "{error}"
            );
        }
    }
}
