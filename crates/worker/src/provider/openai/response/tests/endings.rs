//! How replies end: finish reasons, refusals, errors within an answer, and answers without a reply.

use forebay_shared::job::FinishReason;
use serde_json::json;

use super::super::read;
use super::{answer, answer_to, choice};
use crate::provider::{Retry, http::Received};

#[test]
fn length_and_content_filter_end_a_reply_with_or_without_text() {
    for (reason, expected) in [
        ("length", FinishReason::Length),
        ("content_filter", FinishReason::ContentFilter),
    ] {
        for content in [json!("part"), json!(null), json!("")] {
            let answer = answer(&choice(&json!({"content": content}), reason)).expect("an answer");
            assert_eq!(answer.finish_reason, expected);
            assert_eq!(answer.text().is_some(), content == "part");
        }
    }
}

#[test]
fn answers_without_a_reply_fail() {
    for (body, code) in [
        (json!({"choices": []}), "empty_response"),
        (json!({"choices": [{}]}), "empty_response"),
        (choice(&json!({"content": ""}), "stop"), "empty_response"),
        (choice(&json!({"content": null}), "stop"), "empty_response"),
        (json!({}), "invalid_response"),
        (json!({"choices": "x"}), "invalid_response"),
        (json!([1, 2]), "invalid_response"),
        (json!({"error": {"message": "no"}}), "provider_error"),
        (
            json!({"choices": [{"error": {"code": 502, "message": "no"}}]}),
            "provider_error",
        ),
    ] {
        let failure = answer(&body).expect_err("there is no reply");
        assert_eq!(failure.error.code, code, "{body}");
        assert_eq!(failure.retry, Retry::Backoff, "{body}");
    }
    for body in ["", "{\"choices\": [", "not json", &"[".repeat(100_000)] {
        let failure = answer_to(body.as_bytes()).expect_err("there is no reply");
        assert_eq!(failure.error.code, "invalid_response");
        assert_eq!(failure.retry, Retry::Backoff);
    }
}

#[test]
fn a_finish_reason_that_is_not_a_string_is_a_failure() {
    for reason in [
        json!(3),
        json!({"type": "error"}),
        json!(["stop"]),
        json!(true),
    ] {
        let body =
            json!({"choices": [{"message": {"content": "half a te"}, "finish_reason": reason}]});
        let failure = answer(&body).expect_err("the reason is unknown");
        assert_eq!(failure.error.code, "provider_error", "{body}");
        assert_eq!(failure.retry, Retry::Never, "{body}");
        assert_eq!(failure.error.detail.as_deref(), Some("half a te"));
    }
}

#[test]
fn a_refusal_replaces_only_a_normal_finish_reason() {
    let message = json!({"content": null, "refusal": "I won't"});
    for (reason, expected) in [
        ("", Ok(FinishReason::ContentFilter)),
        ("stop", Ok(FinishReason::ContentFilter)),
        ("length", Ok(FinishReason::Length)),
        ("error", Err(Retry::Backoff)),
    ] {
        let result = answer(&choice(&message, reason));
        let result = result.map(|answer| answer.finish_reason);
        assert_eq!(
            result.map_err(|failure| failure.retry),
            expected,
            "{reason}"
        );
    }
}

#[test]
fn the_failure_of_an_error_in_a_2xx_answer_has_the_delay_the_path_and_the_text() {
    let error = |code: u16| {
        let body = json!({
            "error": {"code": code, "message": "no"},
            "choices": [{"message": {"content": "The answer is"}}],
        });
        let mut received = Received::with_body(200, body.to_string().as_bytes());
        received.retry_after_ms = Some(2_000);
        read(&received, &[], "a").expect_err("the body has an error")
    };
    let busy = error(503);
    assert_eq!(busy.retry, Retry::AfterMs(2_000));
    assert_eq!(busy.error.detail.as_deref(), Some("The answer is"));
    let message = error(404).error.message;
    assert!(message.contains("/v1/chat/completions"), "{message}");
}

#[test]
fn the_failure_of_an_unfinished_reply_has_the_text_as_its_detail() {
    for (reason, retry) in [
        ("error", Retry::Backoff),
        ("abort", Retry::Backoff),
        ("insufficient_system_resource", Retry::Backoff),
        ("a_reason_of_the_future", Retry::Never),
    ] {
        let failure = answer(&choice(&json!({"content": "The answer is"}), reason))
            .expect_err("the reply is not finished");
        assert_eq!(failure.error.code, "provider_error");
        assert_eq!(failure.retry, retry, "{reason}");
        assert_eq!(failure.error.detail.as_deref(), Some("The answer is"));
        assert!(failure.error.message.contains(reason), "{failure}");
    }
    let body = json!({"choices": [{
        "message": {"content": "The answer is"}, "finish_reason": "error",
        "error": {"code": 502, "message": "overloaded"},
    }]});
    let failure = answer(&body).expect_err("the choice has an error");
    assert_eq!(failure.error.detail.as_deref(), Some("The answer is"));
    assert!(failure.error.message.contains("overloaded"), "{failure}");
}

#[test]
fn the_failure_of_an_answer_without_choices_quotes_its_message() {
    let body = json!({"code": 1211, "msg": "no such model", "success": false});
    let failure = answer(&body).expect_err("there is no reply");
    assert!(failure.error.message.contains("no such model"), "{failure}");
}
