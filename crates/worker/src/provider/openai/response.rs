//! Reads an answer in OpenAI's form. Missing fields and other forms of fields are accepted, because compatible services
//! differ.

use forebay_shared::{
    document::UnknownFields,
    job::{FinishReason, Usage},
    turn::{Content, FunctionCall, Role, ToolCall, ToolKind, Turn},
};
use serde::Deserialize;
use serde_json::Value;

use super::{error, reasoning};
use crate::provider::{Answer, Failure, Retry, json_body, tool_call_id};

#[derive(Deserialize)]
struct Body {
    id: Option<Value>,
    error: Option<Value>,
    choices: Option<Vec<Choice>>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    finish_reason: Option<String>,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Message {
    content: Option<Value>,
    refusal: Option<String>,
    tool_calls: Option<Vec<WireToolCall>>,
    function_call: Option<WireFunction>,
    extra_content: Option<Value>,
    reasoning_content: Option<Value>,
    reasoning_details: Option<Value>,
}

#[derive(Deserialize)]
struct WireToolCall {
    id: Option<String>,
    function: WireFunction,
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct WireFunction {
    name: String,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

/// Reads the body of an answer whose status is 2xx.
///
/// `turns` are the turns that were sent; missing ids of tool calls are derived from them. `provider` is the
/// name of the provider; reasoning is stored under it.
///
/// # Errors
/// A [`Failure`] when the body holds an error or no reply.
pub(super) fn read(body: &[u8], turns: &[Turn], provider: &str) -> Result<Answer, Failure> {
    let body: Body = json_body::read(body)?;
    if let Some(error) = body.error.filter(|error| !error.is_null()) {
        return Err(error::classify_within_success(&error));
    }
    let Some(choices) = body.choices else {
        return Err(Failure::new(
            "invalid_response",
            "the provider's answer has no choices",
            Retry::Backoff,
        ));
    };
    let Some(choice) = choices.into_iter().next() else {
        return Err(empty("the provider's answer has an empty list of choices"));
    };
    if let Some(error) = choice.error.filter(|error| !error.is_null()) {
        return Err(error::classify_within_success(&error));
    }
    let message = choice.message.unwrap_or_default();
    let response_id = body.id.as_ref().and_then(Value::as_str);
    let tool_calls = tool_calls(message.tool_calls, message.function_call, |index| {
        tool_call_id::generate(turns, response_id, index)
    });
    let refusal = message.refusal.filter(|text| !text.is_empty());
    let finish_reason = if refusal.is_some() {
        FinishReason::ContentFilter
    } else {
        finish_reason(choice.finish_reason.as_deref(), !tool_calls.is_empty())
    };
    let text = message
        .content
        .and_then(text_of)
        .or(refusal)
        .filter(|text| !text.is_empty());
    if text.is_none() && tool_calls.is_empty() && finish_reason == FinishReason::Stop {
        return Err(empty(
            "the provider's answer has neither text nor tool calls",
        ));
    }
    let mut extra_content = message.extra_content;
    if !tool_calls.is_empty() {
        let returned = [
            ("reasoning_content", message.reasoning_content),
            ("reasoning_details", message.reasoning_details),
        ];
        let returned = returned
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        extra_content = reasoning::store(extra_content, provider, returned.collect());
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
        finish_reason,
        usage: body.usage.as_ref().map(usage),
    })
}

fn tool_calls(
    calls: Option<Vec<WireToolCall>>,
    legacy: Option<WireFunction>,
    generate_id: impl Fn(usize) -> String,
) -> Vec<ToolCall> {
    let legacy = legacy.map(|function| WireToolCall {
        id: None,
        function,
        extra_content: None,
    });
    let calls = calls.filter(|calls| !calls.is_empty());
    let calls = calls.unwrap_or_else(|| legacy.into_iter().collect());
    let calls = calls.into_iter().enumerate();
    calls
        .map(|(index, call)| ToolCall {
            id: call
                .id
                .filter(|id| !id.is_empty())
                .unwrap_or_else(|| generate_id(index)),
            kind: ToolKind::Function,
            function: FunctionCall {
                name: call.function.name,
                arguments: match call.function.arguments {
                    Some(Value::String(text)) => text,
                    // Some services return an object instead of a text that holds JSON.
                    Some(Value::Null) | None => String::from("{}"),
                    Some(value) => value.to_string(),
                },
                unknown: UnknownFields::NONE,
            },
            extra_content: call.extra_content,
            unknown: UnknownFields::NONE,
        })
        .collect()
}

/// The text of a content: a string, or the text parts of a list. Other parts, such as a model's reasoning,
/// are left out.
fn text_of(content: Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text),
        Value::Array(parts) => Some(
            parts
                .iter()
                .filter(|part| part.get("type").is_none_or(|kind| kind == "text"))
                .filter_map(|part| part.get("text").and_then(Value::as_str))
                .collect(),
        ),
        _ => None,
    }
}

fn finish_reason(reason: Option<&str>, calls_tools: bool) -> FinishReason {
    match reason {
        Some("length" | "max_tokens") => FinishReason::Length,
        Some("content_filter") => FinishReason::ContentFilter,
        // Some services return `stop` even when the reply calls tools.
        _ if calls_tools => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

fn usage(usage: &WireUsage) -> Usage {
    let input_tokens = usage.prompt_tokens.unwrap_or(0);
    let output_tokens = usage.completion_tokens.unwrap_or(0);
    Usage {
        input_tokens,
        output_tokens,
        total_tokens: usage
            .total_tokens
            .unwrap_or_else(|| input_tokens.saturating_add(output_tokens)),
        unknown: UnknownFields::NONE,
    }
}

fn empty(message: &str) -> Failure {
    Failure::new("empty_response", message, Retry::Backoff)
}

#[cfg(test)]
mod tests {
    use forebay_shared::{job::FinishReason, turn::Turn};
    use serde_json::{Value, json};

    use super::read;
    use crate::provider::{Answer, Failure, Retry};

    fn answer(body: &Value) -> Result<Answer, Failure> {
        read(body.to_string().as_bytes(), &[], "a")
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
            let failure =
                read(body.as_bytes(), &[] as &[Turn], "a").expect_err("there is no reply");
            assert_eq!(failure.error.code, "invalid_response");
            assert_eq!(failure.retry, Retry::Backoff);
        }
    }
}
