//! The scripted OpenAI: its replies, and its refusals of what the real service refuses.

use serde_json::{Value, json};

use super::{openai_body, openai_body_of, post_openai};
use crate::{ScriptedLlm, ScriptedReply};

/// A tool call with this id.
fn call(id: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } })
}

/// An assistant message with tool calls that have these ids.
fn calls(ids: &[&str]) -> Value {
    let calls: Vec<Value> = ids.iter().map(|id| call(id)).collect();
    json!({ "role": "assistant", "content": null, "tool_calls": calls })
}

/// The tool message with the result of the call with this id.
fn result(id: &str) -> Value {
    json!({ "role": "tool", "tool_call_id": id, "content": "42" })
}

/// A user message with this text.
fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

#[tokio::test]
async fn the_default_reply_lists_the_turn_numbers_of_the_context() {
    let server = ScriptedLlm::start().await;
    let messages = json!([
        { "role": "system", "content": "rules" },
        user("session=a turn=0"),
        { "role": "assistant", "content": "seen:0" },
        { "role": "user", "content": [{ "type": "text", "text": "turn=1" }] },
    ]);
    let (status, body) = post_openai(&server, &openai_body(&messages)).await;
    assert_eq!(status, 200);
    assert_eq!(body["choices"][0]["message"]["content"], "seen:0,1");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let usage = &body["usage"];
    let tokens = |name: &str| usage[name].as_u64().expect("the usage is a number");
    let sum = tokens("prompt_tokens") + tokens("completion_tokens");
    assert_eq!(tokens("total_tokens"), sum);
}

#[tokio::test]
async fn finish_reasons_empty_choices_and_tool_calls_have_openais_format() {
    let server = ScriptedLlm::start().await;
    server.queue_replies(
        "x",
        [
            ScriptedReply::finish("length", Some("half")),
            ScriptedReply::EmptyChoice,
            ScriptedReply::NoChoices,
            ScriptedReply::tool_call("weather", json!({ "city": "Bern" })),
        ],
    );
    let next = async || post_openai(&server, &openai_body_of("x")).await.1["choices"].clone();
    let cut = next().await;
    assert_eq!(
        (&cut[0]["finish_reason"], &cut[0]["message"]["content"]),
        (&"length".into(), &"half".into())
    );
    let empty = next().await;
    assert_eq!(
        empty[0]["message"],
        json!({ "role": "assistant", "content": null })
    );
    assert_eq!(next().await, json!([]));
    let called = next().await;
    assert_eq!(called[0]["finish_reason"], "tool_calls");
    let call = &called[0]["message"]["tool_calls"][0];
    assert_eq!(
        call["function"],
        json!({ "name": "weather", "arguments": r#"{"city":"Bern"}"# })
    );
    assert!(call["id"].is_string());
}

#[tokio::test]
async fn tool_calls_with_their_results_are_accepted() {
    let server = ScriptedLlm::start().await;
    let messages = json!([
        user("go"),
        calls(&["a", "b"]),
        result("b"),
        result("a"),
        user("turn=1"),
    ]);
    let (status, body) = post_openai(&server, &openai_body(&messages)).await;
    assert_eq!(status, 200, "{body}");
    assert!(server.refusals().is_empty());
}

#[tokio::test]
async fn contexts_that_the_real_service_refuses_are_refused() {
    let server = ScriptedLlm::start().await;
    let refused_contexts = [
        (json!([]), "minimum length"),
        (json!([{ "role": "wizard", "content": "x" }]), "role"),
        (json!([{ "role": "user" }]), "content"),
        (
            json!([{ "role": "assistant", "content": "x", "tool_calls": [] }]),
            "empty array",
        ),
        (json!([user("go"), result("a")]), "preceding message"),
        (
            json!([user("go"), calls(&["a"]), result("b")]),
            "preceding message",
        ),
        (
            json!([user("go"), calls(&["a"]), result("a"), result("a")]),
            "preceding message",
        ),
        (
            json!([user("go"), calls(&["a"])]),
            "did not have response messages: a",
        ),
        (
            json!([user("go"), calls(&["a"]), user("next")]),
            "response messages: a",
        ),
        (
            json!([user("go"), calls(&["a", "b"]), result("a"), user("next")]),
            "response messages: b",
        ),
    ];
    for (index, (messages, reason)) in refused_contexts.iter().enumerate() {
        let (status, body) = post_openai(&server, &openai_body(messages)).await;
        let message = body["error"]["message"]
            .as_str()
            .expect("the error has a message");
        assert_eq!(
            (status, message.contains(reason)),
            (400, true),
            "{messages}: {message}"
        );
        assert_eq!(body["error"]["type"], "invalid_request_error");
        assert_eq!(server.refusals().len(), index + 1);
    }
    let (status, _) = post_openai(&server, &json!({ "messages": [user("no model")] })).await;
    assert_eq!(status, 400);
    assert_eq!(server.stats().refused, refused_contexts.len() + 1);
}
