//! Reads an answer in Gemini's form. `parts` reads the parts of its content, and `finish` its finish reason.

use forebay_shared::{
    document::UnknownFields,
    job::{FinishReason, Usage},
    turn::{Content, Role, Turn},
};
use serde_json::Value;

use super::{
    error, finish,
    parts::{self, ReplyParts},
};
use crate::provider::{
    Answer, Failure, Retry, error_body, first_reply,
    http::Received,
    json_body,
    token_counts::{self, TokenCounts},
    tool_call_id,
    unfinished::{reason_text, shortened},
};

/// Reads an answer whose status is 2xx.
///
/// `turns` are the turns that were sent; missing ids of tool calls are derived from them.
///
/// # Errors
/// A [`Failure`] when the body holds an error or no finished reply.
pub(super) fn read(received: &Received, turns: &[Turn]) -> Result<Answer, Failure> {
    let mut body = json_body::read(&received.body)?;
    let mut candidate = first_reply::take(&mut body, "candidates").unwrap_or_default();
    let contents = json_body::elements(json_body::take(&mut candidate, "content"));
    let parts = contents
        .into_iter()
        .flat_map(|mut content| json_body::elements(json_body::take(&mut content, "parts")));
    let generate_id = tool_call_id::generator(turns, body["responseId"].as_str());
    let reply = parts::read(parts.collect(), generate_id);
    if error_body::is_present(&body["error"]) {
        let text = reply.ok().and_then(|reply| text(&reply));
        let failure = error::classify_within_success(received, &body["error"]);
        return Err(failure.with_detail(text));
    }
    if candidate.is_null() {
        return Err(without_candidates(&body));
    }
    let reply = reply?;
    let text = text(&reply);
    let has_reply = text.is_some() || !reply.tool_calls.is_empty();
    let reasoning = reply.thoughts.filter(|_| !has_reply);
    let reason = reason_text(&candidate["finishReason"]);
    let message = candidate["finishMessage"].as_str();
    let finish_reason = finish::read(&reason, message, !reply.tool_calls.is_empty())
        .map_err(|failure| failure.with_detail(text.or(reasoning.clone())))?;
    if !has_reply && reasoning.is_none() && finish_reason == FinishReason::Stop {
        return Err(empty("Gemini's answer has neither text nor tool calls"));
    }
    Ok(Answer {
        memory: received.memory.clone(),
        turn: Turn {
            role: Role::Assistant,
            content: reply.content,
            name: None,
            tool_calls: reply.tool_calls,
            tool_call_id: None,
            extra_content: reply.extra_content,
            unknown: UnknownFields::NONE,
        },
        reasoning,
        finish_reason,
        usage: usage(&body["usageMetadata"]),
        model: json_body::short_text(json_body::take(&mut body, "modelVersion")),
        limits: received.limits.clone(),
    })
}

/// The text of the reply; `None` if it is empty.
fn text(reply: &ReplyParts) -> Option<String> {
    let text = reply.content.as_ref().map(Content::to_text);
    text.filter(|text| !text.is_empty())
}

/// The failure of an answer without candidates.
fn without_candidates(body: &Value) -> Failure {
    if !matches!(body["candidates"], Value::Null | Value::Array(_)) {
        return Failure::new(
            "invalid_response",
            "Gemini's answer has no list of candidates",
            Retry::Backoff,
        );
    }
    let feedback = &body["promptFeedback"];
    let Some(reason) = feedback["blockReason"].as_str() else {
        return empty("Gemini's answer has no candidates");
    };
    let mut message = format!("Gemini refused the prompt: {}", shortened(reason));
    if let Some(why) = feedback["blockReasonMessage"].as_str() {
        message.push_str(&format!(": {why}"));
    }
    Failure::new("content_blocked", message, Retry::Never)
}

/// Reads `usageMetadata`.
fn usage(usage: &Value) -> Option<Usage> {
    let count = |name: &str| token_counts::read(&usage[name]);
    let sum = |first: Option<u64>, second: Option<u64>| match (first, second) {
        (Some(first), Some(second)) => Some(first + second),
        (first, second) => first.or(second),
    };
    let thoughts = count("thoughtsTokenCount");
    let counts = TokenCounts {
        input: sum(count("promptTokenCount"), count("toolUsePromptTokenCount")),
        // Thoughts are billed as output.
        output: sum(count("candidatesTokenCount"), thoughts),
        total: count("totalTokenCount"),
        cached_input: count("cachedContentTokenCount"),
        reasoning: thoughts,
    };
    counts.into_usage()
}

fn empty(message: &str) -> Failure {
    Failure::new("empty_response", message, Retry::Backoff)
}

#[cfg(test)]
mod tests {
    use forebay_shared::job::FinishReason;
    use serde_json::{Value, json};

    use super::read;
    use crate::provider::{Answer, Failure, Retry, gemini::contents, http::Received};

    fn answer_to(body: &[u8]) -> Result<Answer, Failure> {
        read(&Received::with_body(200, body), &[])
    }

    fn answer(body: &Value) -> Result<Answer, Failure> {
        answer_to(body.to_string().as_bytes())
    }

    fn candidate(parts: &Value, finish_reason: &str) -> Value {
        json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish_reason}]})
    }

    #[test]
    fn the_text_and_the_usage_are_read() {
        let parts =
            json!([{"text": "let me think", "thought": true}, {"text": "a"}, {"text": "b"}]);
        let mut body = candidate(&parts, "STOP");
        body["usageMetadata"] = json!({"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 5, "totalTokenCount": 10});
        let answer = answer(&body).expect("an answer");
        assert_eq!(answer.text().as_deref(), Some("ab"));
        assert_eq!(answer.finish_reason, FinishReason::Stop);
        let usage = answer.usage.expect("usage");
        assert_eq!(
            (usage.input_tokens, usage.output_tokens, usage.total_tokens),
            (3, 7, 10)
        );
    }

    #[test]
    fn signatures_are_sent_back_on_the_same_parts() {
        for parts in [
            json!([{"text": "a", "thoughtSignature": "S"}]),
            json!([{"text": "", "thoughtSignature": "S"}, {"functionCall": {"id": "x", "name": "f", "args": {}}}]),
            json!([{"text": "a"}, {"text": "", "thoughtSignature": "S"}]),
            json!([{"text": "a", "thoughtSignature": "S"}, {"text": "b", "thoughtSignature": "T"}]),
            json!([
                {"text": "a"},
                {"functionCall": {"id": "x", "name": "f", "args": {"n": 1}}, "thoughtSignature": "S"},
                {"functionCall": {"name": "f", "args": {"n": 2}}}
            ]),
        ] {
            let turn = answer(&candidate(&parts, "STOP")).expect("an answer").turn;
            let stored = serde_json::to_string(&turn).expect("JSON");
            let turns = [
                forebay_shared::turn::Turn::text(forebay_shared::turn::Role::User, "go"),
                serde_json::from_str(&stored).expect("a turn"),
            ];
            let sent = contents::from_turns(&turns).expect("the turns can be sent");
            assert_eq!(sent.contents[1]["parts"], parts);
        }
    }

    #[test]
    fn calls_without_ids_get_different_generated_ones() {
        let parts = json!([{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}]);
        let answer = answer(&candidate(&parts, "STOP")).expect("an answer");
        assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
        let calls = &answer.turn.tool_calls;
        assert_ne!(calls[0].id, calls[1].id);
        assert_eq!(calls[0].function.arguments, "{}");
    }

    #[test]
    fn a_stop_for_a_token_limit_or_content_filter_is_no_failure_with_or_without_text() {
        for (reason, expected) in [
            ("MAX_TOKENS", FinishReason::Length),
            ("SAFETY", FinishReason::ContentFilter),
            ("RECITATION", FinishReason::ContentFilter),
            ("PROHIBITED_CONTENT", FinishReason::ContentFilter),
        ] {
            for parts in [json!([]), json!([{"text": "part"}])] {
                let answer = answer(&candidate(&parts, reason)).expect("an answer");
                assert_eq!(answer.finish_reason, expected);
                assert_eq!(answer.text().is_some(), parts != json!([]));
            }
            let bare = json!({"candidates": [{"finishReason": reason}]});
            assert_eq!(answer(&bare).expect("an answer").finish_reason, expected);
        }
    }

    #[test]
    fn answers_without_a_reply_fail() {
        for (body, code, retry) in [
            (
                json!({"promptFeedback": {"blockReason": "SAFETY"}}),
                "content_blocked",
                Retry::Never,
            ),
            (json!({}), "empty_response", Retry::Backoff),
            (json!({"candidates": []}), "empty_response", Retry::Backoff),
            (
                candidate(&json!([]), "STOP"),
                "empty_response",
                Retry::Backoff,
            ),
            (
                candidate(&json!([{"text": ""}]), "STOP"),
                "empty_response",
                Retry::Backoff,
            ),
            (
                candidate(&json!([]), "MALFORMED_FUNCTION_CALL"),
                "invalid_response",
                Retry::Backoff,
            ),
            (
                candidate(&json!([{"inlineData": {"data": "AA"}}]), "STOP"),
                "unsupported_response",
                Retry::Never,
            ),
            (
                json!({"error": {"code": 503, "message": "no"}}),
                "provider_error",
                Retry::Backoff,
            ),
            (json!({"candidates": 1}), "invalid_response", Retry::Backoff),
        ] {
            let failure = answer(&body).expect_err("there is no reply");
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, retry),
                "{body}"
            );
        }
        let failure = answer_to(b"{\"candidates\": [").expect_err("there is no reply");
        assert_eq!(failure.error.code, "invalid_response");
    }

    #[test]
    fn counts_in_unusual_forms_do_not_fail_a_reply() {
        let counts = |usage: Value| {
            let mut body = candidate(&json!([{"text": "a"}]), "STOP");
            body["usageMetadata"] = usage;
            let answer = answer(&body).expect("an answer");
            assert_eq!(answer.text().as_deref(), Some("a"));
            answer.usage.map(|usage| {
                let sums = (usage.input_tokens, usage.output_tokens, usage.total_tokens);
                (sums, usage.cached_input_tokens, usage.reasoning_tokens)
            })
        };
        for (usage, expected) in [
            (
                json!({"promptTokenCount": 10, "cachedContentTokenCount": 6, "candidatesTokenCount": 2, "thoughtsTokenCount": 5}),
                Some(((10, 7, 17), Some(6), Some(5))),
            ),
            (
                json!({"promptTokenCount": "10", "candidatesTokenCount": -2, "totalTokenCount": 10.0}),
                Some(((10, 0, 10), None, None)),
            ),
            (json!({"promptTokenCount": null}), None),
            (json!("none"), None),
            (json!(null), None),
        ] {
            assert_eq!(counts(usage.clone()), expected, "{usage}");
        }
    }

    #[test]
    fn fields_of_unexpected_types_do_not_fail_a_reply() {
        for body in [
            json!({"candidates": [{"content": {"parts": [{"text": "a", "thought": "no"}]}, "finishReason": 1}], "responseId": 7}),
            json!({"candidates": [{"content": {"parts": [{"text": "a", "thoughtSignature": 1}]}}], "promptFeedback": []}),
            json!({"candidates": [
                {"index": 1, "content": {"parts": [{"text": "b"}]}},
                {"index": 0, "content": {"parts": [{"text": "a"}]}}
            ]}),
            json!({"candidates": [{"content": [{"parts": [{"text": "a"}, null]}]}, "x"]}),
            json!({"candidates": {"content": {"parts": {"text": "a"}}}}),
            json!({"candidates": [{"content": {"parts": [{"text": "a"}, {"functionCall": {}}]}}], "error": {"code": 0}}),
        ] {
            let answer = answer(&body).expect("an answer");
            assert_eq!(answer.text().as_deref(), Some("a"), "{body}");
        }
        let call = json!([{"functionCall": {"id": 7, "name": 5, "args": {}}}]);
        let turn = answer(&candidate(&call, "STOP")).expect("an answer").turn;
        let call = turn.tool_calls.first().expect("a call");
        assert_eq!((call.id.as_str(), call.function.name.as_str()), ("7", "5"));
    }

    #[test]
    fn a_field_that_occurs_twice_does_not_fail_a_reply() {
        let body = br#"{"candidates": [{"content": {"parts": [{"text": "a", "text": "a"}]}}], "candidates": null}"#;
        let failure = answer_to(body).expect_err("the last field counts");
        assert_eq!(failure.error.code, "empty_response");
        let body = br#"{"responseId": 1, "responseId": 2, "candidates": [{"content": {"parts": [{"text": "a", "text": "a"}]}}]}"#;
        let answer = answer_to(body).expect("an answer");
        assert_eq!(answer.text().as_deref(), Some("a"));
    }

    #[test]
    fn finish_reasons_are_read_as_numbers_and_in_lower_case() {
        for (reason, expected) in [
            (json!("stop"), Some(FinishReason::Stop)),
            (json!("max_tokens"), Some(FinishReason::Length)),
            (json!(0), Some(FinishReason::Stop)),
            (json!(1), Some(FinishReason::Stop)),
            (json!(2), Some(FinishReason::Length)),
            (json!(3), Some(FinishReason::ContentFilter)),
            (json!(5), None),
            (json!(9), None),
            (json!({}), None),
            (json!(["STOP"]), None),
        ] {
            let mut body = candidate(&json!([{"text": "a"}]), "");
            body["candidates"][0]["finishReason"] = reason;
            let result = answer(&body).map(|answer| answer.finish_reason);
            assert_eq!(result.ok(), expected, "{body}");
        }
    }

    #[test]
    fn parallel_calls_with_the_same_id_get_different_ids() {
        let call = |id: Value| json!({"functionCall": {"id": id, "name": "f"}});
        let body = candidate(&json!([call(json!(7)), call(json!("7"))]), "STOP");
        let calls = answer(&body).expect("an answer").turn.tool_calls;
        assert_eq!(calls[0].id, "7");
        assert_ne!(calls[1].id, "7");
    }

    #[test]
    fn an_error_in_a_2xx_answer_keeps_the_text() {
        let mut body = candidate(&json!([{"text": "The answer is"}]), "STOP");
        body["error"] = json!({"code": 503, "message": "no"});
        let failure = answer(&body).expect_err("the body has an error");
        assert_eq!(failure.error.detail.as_deref(), Some("The answer is"));
    }

    #[test]
    fn a_byte_order_mark_and_a_lone_surrogate_do_not_fail_a_reply() {
        let body =
            "\u{feff}{\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"a\\ud83d\"}]}}]}";
        let answer = answer_to(body.as_bytes()).expect("an answer");
        assert_eq!(answer.text().as_deref(), Some("a\u{fffd}"));
    }

    #[test]
    fn a_reply_with_thoughts_only_shows_them() {
        let thoughts =
            json!([{"text": "It is ", "thought": true}, {"text": "4.", "thought": true}]);
        for reason in ["STOP", "MAX_TOKENS"] {
            let answer = answer(&candidate(&thoughts, reason)).expect("an answer");
            assert_eq!(answer.reasoning.as_deref(), Some("It is 4."));
            assert_eq!(answer.turn.content, None);
        }
    }

    #[test]
    fn a_reply_that_was_not_finished_is_a_failure_with_its_text() {
        for (reason, retry) in [
            ("OTHER", Retry::Backoff),
            ("MALFORMED_RESPONSE", Retry::Backoff),
            ("UNKNOWN_REASON", Retry::Never),
        ] {
            let mut body = candidate(&json!([{"text": "The answer is"}]), reason);
            body["candidates"][0]["finishMessage"] = "why".into();
            let failure = answer(&body).expect_err("the reply is not finished");
            assert_eq!(failure.retry, retry, "{reason}");
            assert_eq!(failure.error.detail.as_deref(), Some("The answer is"));
            assert!(failure.error.message.contains(reason), "{failure}");
            assert!(failure.error.message.contains("why"), "{failure}");
        }
    }

    #[test]
    fn the_reason_of_a_blocked_prompt_is_shown() {
        let body = json!({"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "why"}});
        let failure = answer(&body).expect_err("there is no reply");
        assert!(failure.error.message.ends_with("OTHER: why"), "{failure}");
    }
}
