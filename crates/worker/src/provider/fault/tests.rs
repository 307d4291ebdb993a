//! The cause of a failure for each status, code, wording and cause of no connection.

use serde_json::{Value, json};

use super::{Evidence, Fault, NoConnection, SEARCHED_BYTES_MAX, of};
use Fault::{Call, RateLimit, Server, Unavailable};

fn of_answer(status: u16, error: &Value, message: &str) -> Fault {
    of(Evidence::Answer {
        status,
        error,
        message,
    })
}

#[test]
fn each_status_has_a_fault() {
    for (status, expected) in [
        (408, Call),
        (409, Call),
        (425, Call),
        (429, RateLimit),
        (500, Server),
        (501, Server),
        (502, Server),
        (503, Unavailable),
        (504, Call),
        (520, Server),
        (524, Call),
        (529, Unavailable),
        (530, Server),
        (599, Server),
    ] {
        for error in [Value::Null, json!({"message": "no", "code": status})] {
            assert_eq!(of_answer(status, &error, "no"), expected, "{status}");
            assert_eq!(of_answer(status, &error, ""), expected, "{status}");
        }
    }
}

#[test]
fn codes_and_types_of_the_body_are_more_specific_than_a_5xx() {
    for (status, error, expected) in [
        (500, json!({"type": "overloaded_error"}), Unavailable),
        (529, json!({"type": "overloaded_error"}), Unavailable),
        (500, json!({"code": "model_overloaded"}), Unavailable),
        (502, json!({"code": "service_unavailable"}), Unavailable),
        (500, json!({"type": "ServiceUnavailableError"}), Unavailable),
        (500, json!({"status": "UNAVAILABLE"}), Unavailable),
        (503, json!({"status": "UNAVAILABLE"}), Unavailable),
        (429, json!({"status": "RESOURCE_EXHAUSTED"}), RateLimit),
        (503, json!({"status": "RESOURCE_EXHAUSTED"}), RateLimit),
        (500, json!({"code": "rate_limit_exceeded"}), RateLimit),
        (400, json!({"code": "rate_limit_exceeded"}), RateLimit),
        (500, json!({"type": "rate_limit_error"}), RateLimit),
        (429, json!({"type": "engine_overloaded_error"}), RateLimit),
        (500, json!({"status": "INTERNAL"}), Server),
        (500, json!({"type": "server_error"}), Server),
        (500, json!({"code": "unavailable_field"}), Server),
        (504, json!({"status": "DEADLINE_EXCEEDED"}), Call),
        (504, json!({"type": "overloaded_error"}), Call),
        (408, json!({"code": "rate_limit_exceeded"}), Call),
        (400, json!({"type": "overloaded_error"}), Call),
    ] {
        assert_eq!(
            of_answer(status, &error, "no"),
            expected,
            "{status} {error}"
        );
    }
}

#[test]
fn wordings_of_an_overload_count_with_a_5xx() {
    for (status, message, expected) in [
        (500, "Overloaded", Unavailable),
        (
            500,
            "The model is overloaded. Please try again later.",
            Unavailable,
        ),
        (502, "AnthropicException - Overloaded", Unavailable),
        (500, "The server is busy", Unavailable),
        (500, "Our servers are busy right now", Unavailable),
        (500, "All replicas are at capacity", Unavailable),
        (
            500,
            "This model is currently experiencing high demand",
            Unavailable,
        ),
        (502, "Bad gateway, please try again later", Unavailable),
        (
            500,
            "RateLimitError: OpenAIException - slow down",
            RateLimit,
        ),
        (502, "Too Many Requests", RateLimit),
        (500, "Rate limit reached for gpt-5", RateLimit),
        // Services use these wordings for any internal error.
        (500, "Internal error, please try again later", Server),
        (
            500,
            "The server had an error while processing your request",
            Server,
        ),
        (500, "the capacity of this field is 7", Server),
        (504, "The model is overloaded", Call),
        (408, "The server is busy, try again later", Call),
        (409, "The server is busy", Call),
    ] {
        let fault = of_answer(status, &Value::Null, message);
        assert_eq!(fault, expected, "{status} {message}");
    }
}

#[test]
fn only_the_start_of_a_message_is_searched() {
    let at_end = format!("{}overloaded", "é".repeat(SEARCHED_BYTES_MAX / 2 - 5));
    assert_eq!(of_answer(500, &Value::Null, &at_end), Unavailable);
    // The search ends within a character, and the wording follows.
    let behind = format!("x{}overloaded", "é".repeat(SEARCHED_BYTES_MAX / 2));
    assert_eq!(of_answer(500, &Value::Null, &behind), Server);
}

#[test]
fn each_cause_of_no_connection_has_a_fault() {
    for (cause, expected) in [
        (NoConnection::Refused, Unavailable),
        (NoConnection::TimedOut, Unavailable),
        (NoConnection::ResolverFails, Unavailable),
        (NoConnection::UnknownName, Call),
        (NoConnection::OutOfFiles, Fault::OutOfFiles),
        (NoConnection::Other, Call),
    ] {
        assert_eq!(of(Evidence::NoConnection(cause)), expected, "{cause:?}");
    }
}

#[test]
fn a_sent_request_without_an_answer_is_the_fault_of_the_call() {
    assert_eq!(of(Evidence::NoAnswer), Call);
}
