//! Tests of valid submits, the defaults, and the limits on nesting and on the number of errors in one answer.
//! `tests/api/bad_input.rs` sends submits with invalid fields over HTTP.

use forebay_shared::{class::Class, lane::IfBusy, turn::Content};
use serde_json::{Value, json};

use super::{Submission, submission};
use crate::problem::Problem;

fn read(body: &Value) -> Result<Submission, Problem> {
    let has_default_model = true;
    submission(body.to_string().as_bytes(), has_default_model)
}

#[test]
fn a_submit_needs_only_an_input() {
    let submission = read(&json!({"input": "Hi."})).unwrap();
    let request = serde_json::to_value(&submission.request).unwrap();
    let expected =
        json!({"input": [{"role": "user", "content": "Hi."}], "tool_wait_s": 60, "v": 1});
    assert_eq!(request, expected);
    assert_eq!(submission.model, None);
    assert_eq!(submission.class, Class::Interactive);
    assert_eq!(submission.if_busy, IfBusy::Enqueue);
    assert_eq!(submission.expires_in_ms, 86_400_000);
    assert!(!submission.is_tool_results && submission.session.is_none());
}

#[test]
fn every_field_but_replace_from_turn_is_kept_unchanged() {
    let request = json!({
        "input": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "What is this?", "extra_content": {"a": 1}},
                {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}},
            ]},
            {"role": "assistant", "tool_calls": [{
                "id": "call_1", "type": "function", "extra_content": {"google": {"s": "x"}},
                "function": {"name": "look", "arguments": "{}"},
            }]},
            {"role": "tool", "tool_call_id": "call_1", "content": ""},
        ],
        "instructions": "In French.",
        "tools": [{"type": "function", "function": {
            "name": "look", "description": "Looks.", "parameters": {"type": "object"}, "strict": true,
        }}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "reasoning_effort": "low", "temperature": 0.5, "top_p": 1.0, "stop": ["a", "b"],
        "max_output_tokens": 7, "context": {"max_turns": 3, "max_input_tokens": 9},
        "tool_wait_s": 0, "v": 1, "extra_body": {"seed": 1},
    });
    let mut body = request.clone();
    body.as_object_mut().unwrap().remove("v");
    body["session_id"] = json!("chat-1");
    body["model"] = json!("gemini-x");
    body["priority"] = json!("batch");
    body["if_busy"] = json!("interrupt");
    body["expires_in_s"] = json!(5);
    body["metadata"] = json!({"k": "v"});
    let submission = read(&body).unwrap();
    assert_eq!(serde_json::to_value(&submission.request).unwrap(), request);
    assert_eq!(submission.session.unwrap().as_str(), "chat-1");
    assert_eq!(
        (submission.model.as_deref(), submission.class),
        (Some("gemini-x"), Class::Batch)
    );
    assert_eq!(
        (submission.if_busy, submission.expires_in_ms),
        (IfBusy::Interrupt, 5_000)
    );
    assert_eq!(submission.metadata["k"], "v");
    assert!(
        !submission.is_tool_results,
        "the input does not begin with a tool result"
    );
}

#[test]
fn a_null_field_counts_as_absent() {
    let body = json!({"input": "Hi.", "session_id": null, "model": null, "temperature": null,
        "tools": null, "context": null, "metadata": null, "if_busy": null});
    assert_eq!(
        read(&body).unwrap().request,
        read(&json!({"input": "Hi."})).unwrap().request
    );
}

#[test]
fn an_empty_content_beside_tool_calls_is_stored_as_none() {
    let call = json!({"id": "1", "function": {"name": "f", "arguments": ""}});
    let body = json!({"input": [{"role": "assistant", "content": "", "tool_calls": [call]}]});
    assert_eq!(read(&body).unwrap().request.input[0].content, None);
}

#[test]
fn an_input_of_tool_messages_consists_of_tool_results() {
    let result = json!({"role": "tool", "tool_call_id": "1", "content": "42"});
    let body = json!({"session_id": "s", "input": [result]});
    let submission = read(&body).unwrap();
    assert!(submission.is_tool_results);
    assert_eq!(
        submission.request.input[0].content,
        Some(Content::Text(String::from("42")))
    );
}

#[test]
fn the_depth_of_opaque_values_is_limited() {
    let nested = |levels: usize| {
        let mut value = json!(1);
        for _ in 0..levels {
            value = json!([value]);
        }
        read(&json!({"input": "Hi.", "extra_body": {"x": value}}))
    };
    assert!(nested(63).is_ok());
    assert!(nested(64).is_err());
}

#[test]
fn a_response_names_at_most_sixteen_fields() {
    let body: Value = (0..100).map(|n| (format!("x{n}"), json!(n))).collect();
    let problem = format!("{:?}", read(&body).unwrap_err());
    assert_eq!(problem.matches("FieldError").count(), 16);
}

/// The input of a submit as it is stored.
fn stored(input: &Value) -> Value {
    let submission = read(&json!({"input": input, "session_id": "s"})).unwrap();
    serde_json::to_value(&submission.request.input).unwrap()
}

#[test]
fn replies_are_accepted_as_sdks_and_proxies_return_them() {
    let plain = json!([{"role": "assistant", "content": "hi"}]);
    for reply in [
        json!({"role": "assistant", "content": "hi", "refusal": null, "annotations": [], "audio": null,
            "function_call": null, "tool_calls": null}),
        json!({"role": "assistant", "content": "hi", "tool_calls": [], "parsed": null, "name": null}),
        json!({"role": "assistant", "content": "hi", "annotations": [{"type": "url_citation"}], "index": 0,
            "reasoning_content": "hm", "reasoning": "hm", "reasoning_details": [{"text": "hm"}]}),
        json!({"role": "assistant", "content": "hi", "provider_specific_fields": {"a": 1},
            "thinking_blocks": [], "images": []}),
        json!({"role": "assistant", "content": "hi", "executed_tools": null, "citations": null, "refusal": ""}),
    ] {
        assert_eq!(stored(&json!([reply])), plain, "{reply}");
    }
}

#[test]
fn tool_calls_are_accepted_as_sdks_return_them() {
    let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let mut sent = call.clone();
    sent["index"] = json!(0);
    sent["provider_specific_fields"] = json!({"thought_signature": "S"});
    sent["custom"] = json!(null);
    sent["function"]["parsed_arguments"] = json!({});
    sent["function"]["provider_specific_fields"] = json!({"thought_signature": "S"});
    sent["function"]["strict"] = json!(null);
    let reply =
        json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [sent]});
    let result = json!({"role": "tool", "tool_call_id": "1", "content": "42", "name": "f"});
    assert_eq!(
        stored(&json!([reply, result])),
        json!([{"role": "assistant", "tool_calls": [call]}, result])
    );
}

#[test]
fn a_refusal_becomes_text_of_the_reply() {
    for reply in [
        json!({"role": "assistant", "content": null, "refusal": "I won't."}),
        json!({"role": "assistant", "refusal": "I won't.", "tool_calls": []}),
        json!({"role": "assistant", "content": "", "refusal": "I won't."}),
        json!({"role": "assistant", "content": [], "refusal": "I won't."}),
        json!({"role": "assistant", "content": "I won't.", "refusal": "I won't."}),
    ] {
        let expected = json!([{"role": "assistant", "content": "I won't."}]);
        assert_eq!(stored(&json!([reply])), expected);
    }
    let text = json!([{"type": "text", "text": "I won't."}]);
    let both = json!([{"type": "text", "text": "Well."}, {"type": "text", "text": "I won't."}]);
    for (reply, content) in [
        (
            json!({"content": [{"type": "refusal", "refusal": "I won't."}]}),
            text,
        ),
        (
            json!({"content": "Well.", "refusal": "I won't."}),
            json!("Well.\n\nI won't."),
        ),
        (
            json!({"content": [{"type": "text", "text": "Well."}], "refusal": "I won't."}),
            both,
        ),
    ] {
        let mut reply = reply;
        reply["role"] = json!("assistant");
        assert_eq!(stored(&json!([reply]))[0]["content"], content);
    }
}

#[test]
fn an_empty_reply_of_a_provider_is_accepted() {
    for reply in [
        json!({"role": "assistant", "content": "", "tool_calls": []}),
        json!({"role": "assistant", "content": null, "tool_calls": null}),
        json!({"role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm"}),
        json!({"role": "assistant", "content": [], "refusal": null}),
        json!({"role": "assistant", "content": [{"type": "text", "text": ""}], "annotations": []}),
    ] {
        assert_eq!(
            stored(&json!([reply])),
            json!([{"role": "assistant"}]),
            "{reply}"
        );
    }
}

#[test]
fn empty_texts_in_replies_and_tool_results_are_accepted() {
    let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    for content in [json!([]), json!([{"type": "text", "text": ""}])] {
        let reply = json!({"role": "assistant", "content": content, "tool_calls": [call]});
        assert_eq!(
            stored(&json!([reply])),
            json!([{"role": "assistant", "tool_calls": [call]}])
        );
        let result = json!({"role": "tool", "tool_call_id": "1", "content": content});
        assert_eq!(stored(&json!([result]))[0]["content"], "");
    }
    let parts = json!([
        {"type": "output_text", "text": "a", "annotations": [], "logprobs": null},
        {"type": "text", "text": "", "annotations": []}
    ]);
    let reply = json!({"role": "assistant", "content": parts, "refusal": null});
    assert_eq!(
        stored(&json!([reply]))[0]["content"],
        json!([{"type": "text", "text": "a"}])
    );
}

#[test]
fn ids_and_names_that_a_provider_may_send_are_accepted() {
    let long = "x".repeat(65_536);
    for (id, name, stored_id) in [
        (json!(long), long.as_str(), long.as_str()),
        (json!(7), "", "7"),
        (json!(7.5), "é", "7.5"),
    ] {
        let call =
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
        let reply = json!({"role": "assistant", "tool_calls": [call]});
        let result = json!({"role": "tool", "tool_call_id": id, "content": "42"});
        let turns = stored(&json!([reply, result]));
        assert_eq!(turns[0]["tool_calls"][0]["id"], stored_id);
        assert_eq!(turns[0]["tool_calls"][0]["function"]["name"], name);
        assert_eq!(turns[1]["tool_call_id"], stored_id);
    }
    let longer = json!({"role": "tool", "tool_call_id": format!("{long}x"), "content": "42"});
    assert!(read(&json!({"session_id": "s", "input": [longer]})).is_err());
}

#[test]
fn a_field_whose_content_would_be_lost_is_refused() {
    for (name, value) in [
        ("function_call", json!({"name": "f", "arguments": "{}"})),
        ("audio", json!({"id": "audio_1"})),
        ("images", json!([{"type": "image_url"}])),
        ("refusal", json!(7)),
    ] {
        let mut reply = json!({"role": "assistant", "content": "hi"});
        reply[name] = value;
        let problem = read(&json!({"input": [reply]})).unwrap_err();
        let problem = format!("{problem:?}");
        assert!(problem.contains(&format!("input[0].{name}")), "{problem}");
    }
}
