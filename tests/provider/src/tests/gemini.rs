//! The Gemini side: its replies, and what it refuses as the real one does.

use serde_json::{Value, json};

use super::{post_gemini, read};
use crate::{ProviderError, ScriptedCall, ScriptedLlm, ScriptedReply, gemini::SKIP};

fn user(text: &str) -> Value {
    json!({ "role": "user", "parts": [{ "text": text }] })
}

fn response(name: &str) -> Value {
    json!({ "functionResponse": { "name": name, "response": { "result": 1 } } })
}

fn results(names: &[&str]) -> Value {
    let parts: Vec<Value> = names.iter().map(|name| response(name)).collect();
    json!({ "role": "user", "parts": parts })
}

fn body(contents: &[&Value]) -> Value {
    json!({ "contents": contents })
}

/// Has the server call two tools; returns its own turn.
async fn two_calls(server: &ScriptedLlm) -> Value {
    let calls = ["f", "g"].map(|name| ScriptedCall::new(name, json!({ "x": 1 })));
    server.on("call", [ScriptedReply::ToolCalls(calls.to_vec())]);
    let (status, reply) = post_gemini(server, &body(&[&user("call")])).await;
    assert_eq!(status, 200, "{reply}");
    reply["candidates"][0]["content"].clone()
}

async fn refused(server: &ScriptedLlm, body: &Value, reason: &str) {
    let (status, answer) = post_gemini(server, body).await;
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(
        (status, message.contains(reason)),
        (400, true),
        "{body}: {answer}"
    );
    assert_eq!(answer["error"]["status"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn the_default_reply_tells_the_turns_in_context() {
    let server = ScriptedLlm::start().await;
    let model = json!({ "role": "model", "parts": [{ "text": "seen:0" }] });
    let contents = body(&[&user("turn=0"), &model, &user("turn=1")]);
    let (status, reply) = post_gemini(&server, &contents).await;
    assert_eq!(status, 200);
    let candidate = &reply["candidates"][0];
    assert_eq!(
        candidate["content"]["parts"],
        json!([{ "text": "seen:0,1" }])
    );
    assert_eq!(candidate["finishReason"], "STOP");
    assert!(reply["usageMetadata"]["totalTokenCount"].as_u64() > Some(0));
    let record = &server.recorded()[0];
    assert_eq!(
        (record.request.model.as_str(), record.request.key()),
        ("gemini-test", Some("key"))
    );
}

#[tokio::test]
async fn stops_blocked_prompts_and_errors_have_their_form() {
    let server = ScriptedLlm::start().await;
    let replies = [
        ScriptedReply::finish("SAFETY", None),
        ScriptedReply::finish("MAX_TOKENS", Some("half")),
        ScriptedReply::EmptyChoice,
        ScriptedReply::NoChoices,
        ScriptedReply::gemini_blocked("SAFETY"),
        ProviderError::rate_limited(3).into(),
    ];
    server.on("x", replies);
    let next = async || post_gemini(&server, &body(&[&user("x")])).await;
    let stopped = json!({ "finishReason": "SAFETY", "index": 0 });
    assert_eq!(next().await.1["candidates"][0], stopped);
    let cut = next().await.1["candidates"][0].clone();
    assert_eq!(cut["content"]["parts"][0]["text"], "half");
    assert!(next().await.1["candidates"][0].get("content").is_none());
    assert!(next().await.1.get("candidates").is_none());
    assert_eq!(next().await.1["promptFeedback"]["blockReason"], "SAFETY");
    let (status, error) = next().await;
    assert_eq!(
        (status, &error["error"]["status"]),
        (429, &"RESOURCE_EXHAUSTED".into())
    );
}

#[tokio::test]
async fn a_whole_tool_round_is_taken_with_its_signature() {
    let server = ScriptedLlm::start().await;
    let calls = two_calls(&server).await;
    let signature = |i: usize| calls["parts"][i].get("thoughtSignature");
    assert!(signature(0).is_some() && signature(1).is_none());
    let round = body(&[&user("call"), &calls, &results(&["g", "f"]), &user("next")]);
    let (status, reply) = post_gemini(&server, &round).await;
    assert_eq!(status, 200, "{reply}");
    assert!(server.refusals().is_empty());
}

#[tokio::test]
async fn a_signature_that_is_missing_altered_or_skipped_is_refused() {
    let server = ScriptedLlm::start().await;
    let calls = two_calls(&server).await;
    let with = |signature: Value| {
        let mut calls = calls.clone();
        calls["parts"][0]["thoughtSignature"] = signature;
        body(&[&user("call"), &calls, &results(&["f", "g"])])
    };
    refused(&server, &with(Value::Null), "missing a thought_signature").await;
    refused(&server, &with(json!("altered")), "not valid").await;
    refused(&server, &with(json!(SKIP)), "not valid").await;
    let own = with(calls["parts"][0]["thoughtSignature"].clone());
    assert_eq!(post_gemini(&server, &own).await.0, 200);
}

#[tokio::test]
async fn a_call_of_another_model_may_skip_its_signature_but_not_lack_it() {
    let server = ScriptedLlm::start().await;
    let with = |signature: Value| {
        let call =
            json!({ "functionCall": { "name": "h", "args": {} }, "thoughtSignature": signature });
        let call = json!({ "role": "model", "parts": [call] });
        body(&[&user("go"), &call, &results(&["h"])])
    };
    assert_eq!(post_gemini(&server, &with(json!(SKIP))).await.0, 200);
    refused(&server, &with(Value::Null), "missing a thought_signature").await;
}

#[tokio::test]
async fn broken_contexts_are_refused() {
    let server = ScriptedLlm::start().await;
    let calls = &two_calls(&server).await;
    let go = &user("call");
    let model = &json!({ "role": "model", "parts": [{ "text": "hi" }] });
    let number = "number of function response parts";
    let call_turn = "function call turn comes immediately after";
    let response_turn = "function response turn comes immediately after";
    let both = &results(&["f", "g"]);
    for (contents, reason) in [
        (vec![], "contents is not specified"),
        (vec![model, go], "begin with a user turn"),
        (
            vec![
                go,
                &json!({ "role": "assistant", "parts": [{ "text": "x" }] }),
            ],
            "valid role",
        ),
        (
            vec![go, &json!({ "role": "model", "parts": [] })],
            "must not be empty",
        ),
        (vec![go, calls], number),
        (vec![go, calls, go], number),
        (vec![go, calls, &results(&["f"])], number),
        (vec![go, calls, &results(&["f", "g", "g"])], number),
        (
            vec![go, calls, &results(&["f", "f"])],
            "answers no function call",
        ),
        (vec![go, model, calls, both], call_turn),
        (vec![both, model, go], response_turn),
        (vec![go, model, both], response_turn),
        (
            vec![&json!({ "role": "user", "parts": [{ "words": "x" }] })],
            "Unknown name \"words\"",
        ),
    ] {
        refused(&server, &body(&contents), reason).await;
    }
    let snake = json!({ "contents": [go], "system_instruction": {} });
    refused(&server, &snake, "Unknown name \"system_instruction\"").await;
}

#[tokio::test]
async fn an_id_that_was_given_is_wanted_back() {
    let server = ScriptedLlm::start().await;
    let call = ScriptedCall {
        id: Some("id-1".to_owned()),
        ..ScriptedCall::new("f", json!({}))
    };
    server.on("call", [ScriptedReply::ToolCalls(vec![call])]);
    let (_, reply) = post_gemini(&server, &body(&[&user("call")])).await;
    let calls = &reply["candidates"][0]["content"];
    let mut result = results(&["f"]);
    let without = body(&[&user("call"), calls, &result]);
    refused(&server, &without, "answers no function call").await;
    result["parts"][0]["functionResponse"]["id"] = json!("id-1");
    let with = body(&[&user("call"), calls, &result]);
    assert_eq!(post_gemini(&server, &with).await.0, 200);
}

#[tokio::test]
async fn a_key_in_the_url_or_none_is_refused() {
    let server = ScriptedLlm::start().await;
    let base = server.gemini_base_url();
    let url = format!("{base}/models/m:generateContent");
    for url in [format!("{url}?key=secret"), url] {
        let request = reqwest::Client::new().post(url).json(&body(&[&user("x")]));
        let (status, answer) = read(request).await;
        assert_eq!(
            (status, &answer["error"]["status"]),
            (403, &"PERMISSION_DENIED".into())
        );
    }
    assert_eq!(server.refusals().len(), 2);
}
