//! Reads an answer in OpenAI's form. Missing fields and other forms of fields are accepted, because compatible services
//! differ.
//!
//! `content` reads the texts of a message, `tool_calls` its tool calls, `usage` the token counts and `finish` the
//! finish reason.

use forebay_shared::{
    document::UnknownFields,
    job::FinishReason,
    turn::{Content, Role, Turn},
};
use serde_json::{Value, json};

use super::{content, error, finish, reasoning, tool_calls, usage};
use crate::provider::{
    Answer, Failure, Retry, by_index, error_body,
    http::Received,
    json_body, tool_call_id,
    unfinished::{reason_text, shortened, unfinished},
};

/// Reads an answer whose status is 2xx.
///
/// `turns` are the turns that were sent; missing ids of tool calls are derived from them. `provider` is the
/// name of the provider; reasoning is stored under it.
///
/// # Errors
/// A [`Failure`] when the body holds an error or no finished reply.
pub(super) fn read(received: &Received, turns: &[Turn], provider: &str) -> Result<Answer, Failure> {
    let mut body = json_body::read(&received.body)?;
    let mut choice = by_index::take_first(&mut body, "choices").unwrap_or_default();
    let mut message = match json_body::take(&mut choice, "message") {
        message @ Value::Object(_) => message,
        content => json!({"content": content}),
    };
    let texts = content::read(&message["content"], &message["refusal"]);
    let mut text = texts.text();
    let mut errors = [&body["error"], &choice["error"]].into_iter();
    if let Some(error) = errors.find(|error| error_body::is_present(error)) {
        return Err(error::classify_within_success(received, error).with_detail(text));
    }
    if choice.is_null() {
        return Err(without_choices(&body));
    }
    let is_blank = text.as_ref().is_none_or(|text| text.trim().is_empty());
    let generate_id = tool_call_id::generator(turns, body["id"].as_str());
    let tool_calls = tool_calls::read(&mut message, !is_blank, generate_id)?;
    let mut reasoning = None;
    if is_blank && tool_calls.is_empty() {
        reasoning = reasoning::text(&message).or(texts.reasoning);
    }
    if reasoning.is_some() {
        text = None;
    }
    let reason = reason_text(&choice["finish_reason"]);
    let finish_reason = match finish::read(&reason, !tool_calls.is_empty()) {
        Ok(FinishReason::Stop) if texts.refusal.is_some() => FinishReason::ContentFilter,
        Ok(finish_reason) => finish_reason,
        Err(retry) => {
            let failure = unfinished(&shortened(&reason), retry);
            return Err(failure.with_detail(text.or(reasoning)));
        }
    };
    let is_empty = text.is_none() && tool_calls.is_empty() && reasoning.is_none();
    if is_empty && finish_reason == FinishReason::Stop {
        return Err(empty(
            "the provider's answer has neither text nor tool calls",
        ));
    }
    let extra_content = json_body::take(&mut message, "extra_content");
    let mut extra_content = (!extra_content.is_null()).then_some(extra_content);
    if !tool_calls.is_empty() {
        extra_content = reasoning::store(extra_content, provider, &mut message);
    }
    Ok(Answer {
        turn: Turn {
            role: Role::Assistant,
            content: text.map(Content::Text),
            name: None,
            tool_calls,
            tool_call_id: None,
            extra_content,
            unknown: UnknownFields::NONE,
        },
        reasoning,
        finish_reason,
        usage: usage::read(&body["usage"]),
    })
}

/// The failure of a body without choices. Some services answer 200 with an error in a form of their own.
fn without_choices(body: &Value) -> Failure {
    if body["choices"].is_array() {
        return empty("the provider's answer has an empty list of choices");
    }
    let message = error_body::message(body);
    let message = message.map_or_else(String::new, |message| format!(": {message}"));
    Failure::new(
        "invalid_response",
        format!("the provider's answer has no choices{message}"),
        Retry::Backoff,
    )
}

fn empty(message: &str) -> Failure {
    Failure::new("empty_response", message, Retry::Backoff)
}

#[cfg(test)]
mod tests {
    use forebay_shared::job::FinishReason;
    use serde_json::{Value, json};

    use super::read;
    use crate::provider::{Answer, Failure, Retry, http::Received};

    fn answer_to(body: &[u8]) -> Result<Answer, Failure> {
        read(&Received::with_body(200, body), &[], "a")
    }

    fn answer(body: &Value) -> Result<Answer, Failure> {
        answer_to(body.to_string().as_bytes())
    }

    fn choice(message: &Value, finish_reason: &str) -> Value {
        json!({"choices": [{"message": message, "finish_reason": finish_reason}]})
    }

    #[test]
    fn a_text_with_its_usage() {
        let mut body = choice(
            &json!({"role": "assistant", "content": "hi", "refusal": null}),
            "stop",
        );
        body["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
        body["error"] = Value::Null;
        let answer = answer(&body).expect("an answer");
        assert_eq!(answer.text().as_deref(), Some("hi"));
        assert_eq!(answer.finish_reason, FinishReason::Stop);
        let usage = answer.usage.expect("usage");
        assert_eq!(
            (usage.input_tokens, usage.output_tokens, usage.total_tokens),
            (3, 2, 5)
        );
    }

    #[test]
    fn tool_calls_keep_their_extra_content() {
        let sent = json!({"role": "assistant", "extra_content": {"google": {"thought_signature": "A"}}, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"},
             "extra_content": {"google": {"thought_signature": "B"}}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "not json"}}
        ]});
        let answer = answer(&choice(&sent, "tool_calls")).expect("an answer");
        assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
        assert_eq!(serde_json::to_value(&answer.turn).expect("JSON"), sent);
        assert_eq!(answer.text(), None);
    }

    #[test]
    fn reasoning_of_replies_that_call_tools_is_stored() {
        let mut message = json!({
            "content": "Let me see.",
            "reasoning_content": "hm",
            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]
        });
        let calls = answer(&choice(&message, "tool_calls")).expect("an answer");
        assert_eq!(
            calls.turn.extra_content,
            Some(json!({"forebay": {"provider": "a", "reasoning_content": "hm"}}))
        );
        assert_eq!(calls.text().as_deref(), Some("Let me see."));

        message["tool_calls"] = Value::Null;
        let text = answer(&choice(&message, "stop")).expect("an answer");
        assert_eq!(text.turn.extra_content, None);
    }

    #[test]
    fn tool_calls_in_other_forms_are_read() {
        let body = choice(
            &json!({"content": "", "tool_calls": [
                {"function": {"name": "f", "arguments": {"a": 1}}},
                {"id": "", "function": {"name": "g"}}
            ]}),
            "stop",
        );
        let answer = answer(&body).expect("an answer");
        assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
        let calls = &answer.turn.tool_calls;
        assert_eq!(calls[0].function.arguments, "{\"a\":1}");
        assert_eq!(calls[1].function.arguments, "{}");
        assert!(!calls[0].id.is_empty() && calls[0].id != calls[1].id);
        assert_eq!(answer.turn.content, None);
    }

    #[test]
    fn length_and_content_filter_are_replies_with_and_without_text() {
        for (reason, expected) in [
            ("length", FinishReason::Length),
            ("content_filter", FinishReason::ContentFilter),
        ] {
            for content in [json!("part"), json!(null), json!("")] {
                let answer =
                    answer(&choice(&json!({"content": content}), reason)).expect("an answer");
                assert_eq!(answer.finish_reason, expected);
                assert_eq!(answer.text().is_some(), content == "part");
            }
        }
    }

    #[test]
    fn a_refusal_is_the_text_of_the_reply() {
        let answer = answer(&choice(
            &json!({"content": null, "refusal": "I won't"}),
            "stop",
        ))
        .expect("an answer");
        assert_eq!(answer.text().as_deref(), Some("I won't"));
        assert_eq!(answer.finish_reason, FinishReason::ContentFilter);
    }

    #[test]
    fn text_parts_are_joined() {
        let content = json!([{"type": "thinking", "text": "hm"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let answer = answer(&choice(&json!({"content": content}), "stop")).expect("an answer");
        assert_eq!(answer.text().as_deref(), Some("ab"));
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
    fn fields_of_other_types_do_not_spoil_a_reply() {
        for (field, value) in [
            ("error", json!({})),
            ("error", json!("")),
            ("error", json!(false)),
            ("error", json!(0)),
            ("error", json!({"code": null, "message": null})),
            ("error", json!({"code": 200, "message": ""})),
            ("id", json!(7)),
            ("usage", json!("none")),
            ("usage", json!([])),
            ("model", json!({})),
            ("created", json!("yesterday")),
        ] {
            let mut body = choice(&json!({"content": "hi"}), "stop");
            body[field] = value;
            let answer = answer(&body).expect("an answer");
            assert_eq!(answer.text().as_deref(), Some("hi"), "{body}");
            assert_eq!(answer.usage, None, "{body}");
        }
        for (field, value) in [
            ("refusal", json!(false)),
            ("refusal", json!({})),
            ("tool_calls", json!("none")),
            ("tool_calls", json!([null])),
            ("tool_calls", json!({})),
            (
                "tool_calls",
                json!([{"id": null, "type": "function", "function": {"name": null, "arguments": null}}]),
            ),
            ("function_call", json!({})),
            ("role", json!(1)),
            ("annotations", json!("x")),
            ("reasoning", json!(1)),
        ] {
            let mut message = json!({"content": "hi"});
            message[field] = value;
            let answer = answer(&choice(&message, "stop")).expect("an answer");
            assert_eq!(answer.text().as_deref(), Some("hi"), "{message}");
            assert_eq!(answer.finish_reason, FinishReason::Stop, "{message}");
        }
        for message in [
            json!({"content": "hi"}),
            json!("hi"),
            json!([{"type": "text", "text": "hi"}]),
        ] {
            let body = json!({"choices": [{"message": message, "finish_reason": null}]});
            let answer = answer(&body).expect("an answer");
            assert_eq!(answer.finish_reason, FinishReason::Stop, "{body}");
            assert_eq!(answer.text().as_deref(), Some("hi"), "{body}");
        }
    }

    #[test]
    fn a_finish_reason_of_another_type_is_no_success() {
        for reason in [
            json!(3),
            json!({"type": "error"}),
            json!(["stop"]),
            json!(true),
        ] {
            let body = json!({"choices": [{"message": {"content": "half a te"}, "finish_reason": reason}]});
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
    fn a_field_that_occurs_twice_does_not_spoil_a_reply() {
        for body in [
            r#"{"choices": [{"message": {"content": "good", "reasoning_content": "a", "reasoning_content": "b"}}]}"#,
            r#"{"id": "1", "id": "2", "choices": [{"message": {"content": "good"}}]}"#,
            r#"{"choices": [{"index": 0, "index": 0, "message": {"content": "good"}}]}"#,
        ] {
            let answer = answer_to(body.as_bytes()).expect("an answer");
            assert_eq!(answer.text().as_deref(), Some("good"), "{body}");
        }
    }

    #[test]
    fn parallel_calls_with_one_id_get_ids_of_their_own() {
        let call = |id: Value| json!({"id": id, "function": {"name": "f", "arguments": "{}"}});
        let message = json!({"tool_calls": [call(json!(7)), call(json!("7"))]});
        let calls = answer(&choice(&message, "tool_calls"))
            .expect("an answer")
            .turn
            .tool_calls;
        assert_eq!(calls[0].id, "7");
        assert_ne!(calls[1].id, "7");
    }

    #[test]
    fn deep_data_beside_a_reply_is_left_out() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let body = format!(
            r#"{{"choices": [{{"message": {{"content": "good", "extra_content": {{"a": {deep}}}}}}}]}}"#
        );
        let answer = answer_to(body.as_bytes()).expect("an answer");
        assert_eq!(answer.text().as_deref(), Some("good"));
    }

    #[test]
    fn an_error_of_a_2xx_answer_keeps_the_delay_the_path_and_the_text() {
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
    fn small_mistakes_of_the_json_do_not_spoil_a_reply() {
        let read_text = |body: &[u8]| {
            let answer = answer_to(body).expect("an answer");
            answer.text().expect("a text")
        };
        let with = |content: &[u8], more: &[u8]| {
            let parts: [&[u8]; 5] = [
                b"\xef\xbb\xbf{\"choices\": [{\"message\": {\"content\": \"",
                content,
                b"\"}, \"finish_reason\": \"stop\", \"logprobs\": ",
                more,
                b"}]}\n",
            ];
            parts.concat()
        };
        assert_eq!(read_text(&with(b"hi", b"null")), "hi");
        assert_eq!(read_text(&with(b"hi \\ud83d", b"null")), "hi \u{fffd}");
        assert_eq!(read_text(&with(b"hi \\ude00!", b"null")), "hi \u{fffd}!");
        assert_eq!(read_text(&with(b"caf\xe9", b"null")), "caf\u{fffd}");
        assert_eq!(read_text(&with(b"hi", b"[-Infinity, NaN]")), "hi");
        assert_eq!(read_text(&with(b"h\n\ti", b"null")), "h\n\ti");
        assert_eq!(
            read_text(&[&with(b"hi", b"null")[..], b"\0\0"].concat()),
            "hi"
        );
    }

    #[test]
    fn choices_are_taken_by_their_index() {
        let choice = |index: Value, text: &str| json!({"index": index, "message": {"content": text}, "finish_reason": "stop"});
        for choices in [
            json!([choice(json!(1), "b"), choice(json!(0), "a")]),
            json!([choice(json!("1"), "b"), choice(json!("0"), "a")]),
            json!([choice(json!(null), "a"), choice(json!(1), "b")]),
            json!([choice(json!(2), "b"), choice(json!(1), "a")]),
            json!([null, choice(json!(0), "a")]),
            json!(["x", choice(json!(1), "a"), {}]),
            choice(json!(0), "a"),
        ] {
            let answer = answer(&json!({"choices": choices})).expect("an answer");
            assert_eq!(answer.text().as_deref(), Some("a"), "{choices}");
        }
    }

    #[test]
    fn a_refusal_beside_other_content_is_not_lost() {
        for (message, expected) in [
            (json!({"content": "", "refusal": "I won't"}), "I won't"),
            (json!({"content": [], "refusal": "I won't"}), "I won't"),
            (
                json!({"content": "Well.", "refusal": "I won't"}),
                "Well.\n\nI won't",
            ),
            (
                json!({"content": [{"type": "refusal", "refusal": "I won't"}]}),
                "I won't",
            ),
        ] {
            let answer = answer(&choice(&message, "stop")).expect("an answer");
            assert_eq!(answer.text().as_deref(), Some(expected), "{message}");
            assert_eq!(answer.finish_reason, FinishReason::ContentFilter);
        }
    }

    #[test]
    fn a_reply_with_reasoning_only_shows_it() {
        for message in [
            json!({"content": "", "reasoning_content": "It is 4."}),
            json!({"content": null, "reasoning": "It is 4."}),
            json!({"content": " ", "reasoning": "It is 4."}),
            json!({"reasoning_details": [{"type": "reasoning.text", "text": "It is 4."}]}),
            json!({"reasoning_details": [{"type": "reasoning.summary", "summary": "It is 4."}]}),
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "It is 4."}]}]}),
            json!({"content": [{"type": "thinking", "thinking": "It is 4."}]}),
        ] {
            for (reason, expected) in [
                ("stop", FinishReason::Stop),
                ("length", FinishReason::Length),
            ] {
                let answer = answer(&choice(&message, reason)).expect("an answer");
                assert_eq!(answer.reasoning.as_deref(), Some("It is 4."), "{message}");
                assert_eq!(answer.finish_reason, expected, "{message}");
                assert_eq!(answer.turn.content, None, "{message}");
            }
        }
        let both = json!({"content": "4", "reasoning_content": "It is 4."});
        let answer = answer(&choice(&both, "stop")).expect("an answer");
        assert_eq!(answer.reasoning, None);
    }

    #[test]
    fn a_reply_that_was_not_finished_is_a_failure_with_its_text() {
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
    fn an_answer_without_choices_is_quoted() {
        let body = json!({"code": 1211, "msg": "no such model", "success": false});
        let failure = answer(&body).expect_err("there is no reply");
        assert!(failure.error.message.contains("no such model"), "{failure}");
    }
}
