//! The OpenAI side: its replies, and what it refuses as the real one does.

use serde_json::{Value, json};

use super::{ask, openai_body, post_openai};
use crate::{ScriptedLlm, ScriptedReply};

fn call(id: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } })
}

fn calls(ids: &[&str]) -> Value {
    let calls: Vec<Value> = ids.iter().map(|id| call(id)).collect();
    json!({ "role": "assistant", "content": null, "tool_calls": calls })
}

fn result(id: &str) -> Value {
    json!({ "role": "tool", "tool_call_id": id, "content": "42" })
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

#[tokio::test]
async fn the_default_reply_tells_the_turns_in_context() {
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
    let tokens = |name: &str| usage[name].as_u64().expect("a number");
    let sum = tokens("prompt_tokens") + tokens("completion_tokens");
    assert_eq!(tokens("total_tokens"), sum);
}

#[tokio::test]
async fn stops_empty_choices_and_tool_calls_have_their_form() {
    let server = ScriptedLlm::start().await;
    server.on(
        "x",
        [
            ScriptedReply::finish("length", Some("half")),
            ScriptedReply::EmptyChoice,
            ScriptedReply::NoChoices,
            ScriptedReply::tool_call("weather", json!({ "city": "Bern" })),
        ],
    );
    let next = async || post_openai(&server, &ask("x")).await.1["choices"].clone();
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
async fn a_whole_tool_round_is_taken() {
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
async fn broken_contexts_are_refused() {
    let server = ScriptedLlm::start().await;
    let broken = [
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
    for (i, (messages, reason)) in broken.iter().enumerate() {
        let (status, body) = post_openai(&server, &openai_body(messages)).await;
        let message = body["error"]["message"].as_str().expect("a message");
        assert_eq!(
            (status, message.contains(reason)),
            (400, true),
            "{messages}: {message}"
        );
        assert_eq!(body["error"]["type"], "invalid_request_error");
        assert_eq!(server.refusals().len(), i + 1);
    }
    let (status, _) = post_openai(&server, &json!({ "messages": [user("no model")] })).await;
    assert_eq!(status, 400);
    assert_eq!(server.stats().refused, broken.len() + 1);
}
