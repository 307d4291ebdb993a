//! Tests of what is read from a reply. The tests of how a reply ends are in `endings`.

mod endings;

use forebay_shared::job::FinishReason;
use serde_json::{Value, json};

use super::read;
use crate::provider::{Answer, Failure, http::Received};

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
fn the_text_and_the_usage_are_read() {
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
fn a_reply_is_read_although_other_fields_have_unexpected_types() {
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
fn a_reply_with_a_duplicate_field_is_read() {
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
fn parallel_calls_with_the_same_id_get_different_ids() {
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
fn deeply_nested_data_beside_a_reply_is_left_out() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let body = format!(
        r#"{{"choices": [{{"message": {{"content": "good", "extra_content": {{"a": {deep}}}}}}}]}}"#
    );
    let answer = answer_to(body.as_bytes()).expect("an answer");
    assert_eq!(answer.text().as_deref(), Some("good"));
}

#[test]
fn a_reply_with_small_json_mistakes_is_read() {
    let read_text = |body: &[u8]| {
        let answer = answer_to(body).expect("an answer");
        answer.text().expect("a text")
    };
    let body_with = |content: &[u8], logprobs: &[u8]| {
        let parts: [&[u8]; 5] = [
            b"\xef\xbb\xbf{\"choices\": [{\"message\": {\"content\": \"",
            content,
            b"\"}, \"finish_reason\": \"stop\", \"logprobs\": ",
            logprobs,
            b"}]}\n",
        ];
        parts.concat()
    };
    assert_eq!(read_text(&body_with(b"hi", b"null")), "hi");
    assert_eq!(read_text(&body_with(b"hi \\ud83d", b"null")), "hi \u{fffd}");
    assert_eq!(
        read_text(&body_with(b"hi \\ude00!", b"null")),
        "hi \u{fffd}!"
    );
    assert_eq!(read_text(&body_with(b"caf\xe9", b"null")), "caf\u{fffd}");
    assert_eq!(read_text(&body_with(b"hi", b"[-Infinity, NaN]")), "hi");
    assert_eq!(read_text(&body_with(b"h\n\ti", b"null")), "h\n\ti");
    assert_eq!(
        read_text(&[&body_with(b"hi", b"null")[..], b"\0\0"].concat()),
        "hi"
    );
}

#[test]
fn the_choice_with_the_lowest_index_is_read() {
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
fn the_reasoning_is_returned_if_the_reply_has_nothing_else() {
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
