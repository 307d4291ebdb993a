//! The scripted Gemini: its replies, and its refusals of what the real service refuses.

use serde_json::{Value, json};

use super::{post_gemini, send};
use crate::{ProviderError, ScriptedCall, ScriptedLlm, ScriptedReply, gemini::SKIP_MARKER};

/// A user turn with this text.
fn user(text: &str) -> Value {
    json!({ "role": "user", "parts": [{ "text": text }] })
}

/// A part with the result of a call of this function.
fn response(name: &str) -> Value {
    json!({ "functionResponse": { "name": name, "response": { "result": 1 } } })
}

/// A user turn with the results of calls of these functions.
fn results(names: &[&str]) -> Value {
    let parts: Vec<Value> = names.iter().map(|name| response(name)).collect();
    json!({ "role": "user", "parts": parts })
}

fn body(contents: &[&Value]) -> Value {
    json!({ "contents": contents })
}

/// Makes the server reply with calls of the functions `f` and `g`, and returns the model's turn.
async fn two_calls(server: &ScriptedLlm) -> Value {
    let calls = ["f", "g"].map(|name| ScriptedCall::new(name, json!({ "x": 1 })));
    server.queue_replies("call", [ScriptedReply::ToolCalls(calls.to_vec())]);
    let (status, reply) = post_gemini(server, &body(&[&user("call")])).await;
    assert_eq!(status, 200, "{reply}");
    reply["candidates"][0]["content"].clone()
}

/// Asserts that the server refuses the body for this reason.
async fn assert_refused(server: &ScriptedLlm, body: &Value, reason: &str) {
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
async fn the_default_reply_lists_the_turn_numbers_of_the_context() {
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
async fn finish_reasons_blocked_prompts_and_errors_have_geminis_format() {
    let server = ScriptedLlm::start().await;
    let replies = [
        ScriptedReply::finish("SAFETY", None),
        ScriptedReply::finish("MAX_TOKENS", Some("half")),
        ScriptedReply::EmptyChoice,
        ScriptedReply::NoChoices,
        ScriptedReply::gemini_blocked("SAFETY"),
        ProviderError::rate_limited(3).into(),
    ];
    server.queue_replies("x", replies);
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
async fn function_calls_with_their_signature_and_results_are_accepted() {
    let server = ScriptedLlm::start().await;
    let calls = two_calls(&server).await;
    let signature = |part: usize| calls["parts"][part].get("thoughtSignature");
    assert!(signature(0).is_some() && signature(1).is_none());
    let contents = body(&[&user("call"), &calls, &results(&["g", "f"]), &user("next")]);
    let (status, reply) = post_gemini(&server, &contents).await;
    assert_eq!(status, 200, "{reply}");
    assert!(server.refusals().is_empty());
}

#[tokio::test]
async fn a_missing_or_altered_signature_and_the_skip_marker_are_refused_for_the_servers_own_call() {
    let server = ScriptedLlm::start().await;
    let calls = two_calls(&server).await;
    let body_with = |signature: Value| {
        let mut calls = calls.clone();
        calls["parts"][0]["thoughtSignature"] = signature;
        body(&[&user("call"), &calls, &results(&["f", "g"])])
    };
    assert_refused(
        &server,
        &body_with(Value::Null),
        "missing a thought_signature",
    )
    .await;
    assert_refused(&server, &body_with(json!("altered")), "not valid").await;
    assert_refused(&server, &body_with(json!(SKIP_MARKER)), "not valid").await;
    let unchanged = body_with(calls["parts"][0]["thoughtSignature"].clone());
    assert_eq!(post_gemini(&server, &unchanged).await.0, 200);
}

#[tokio::test]
async fn a_call_of_another_model_must_have_the_skip_marker_as_its_signature() {
    let server = ScriptedLlm::start().await;
    let body_with = |signature: Value| {
        let call =
            json!({ "functionCall": { "name": "h", "args": {} }, "thoughtSignature": signature });
        let call = json!({ "role": "model", "parts": [call] });
        body(&[&user("go"), &call, &results(&["h"])])
    };
    assert_eq!(
        post_gemini(&server, &body_with(json!(SKIP_MARKER))).await.0,
        200
    );
    assert_refused(
        &server,
        &body_with(Value::Null),
        "missing a thought_signature",
    )
    .await;
}

#[tokio::test]
async fn contexts_that_the_real_service_refuses_are_refused() {
    let server = ScriptedLlm::start().await;
    let calls = &two_calls(&server).await;
    let go = &user("call");
    let model = &json!({ "role": "model", "parts": [{ "text": "hi" }] });
    let wrong_number = "number of function response parts";
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
        (vec![go, calls], wrong_number),
        (vec![go, calls, go], wrong_number),
        (vec![go, calls, &results(&["f"])], wrong_number),
        (vec![go, calls, &results(&["f", "g", "g"])], wrong_number),
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
        assert_refused(&server, &body(&contents), reason).await;
    }
    let snake_case = json!({ "contents": [go], "system_instruction": {} });
    assert_refused(&server, &snake_case, "Unknown name \"system_instruction\"").await;
}

#[tokio::test]
async fn a_result_must_carry_the_id_of_its_call() {
    let server = ScriptedLlm::start().await;
    let call = ScriptedCall {
        id: Some("id-1".to_owned()),
        ..ScriptedCall::new("f", json!({}))
    };
    server.queue_replies("call", [ScriptedReply::ToolCalls(vec![call])]);
    let (_, reply) = post_gemini(&server, &body(&[&user("call")])).await;
    let calls = &reply["candidates"][0]["content"];
    let mut result = results(&["f"]);
    let without_id = body(&[&user("call"), calls, &result]);
    assert_refused(&server, &without_id, "answers no function call").await;
    result["parts"][0]["functionResponse"]["id"] = json!("id-1");
    let with_id = body(&[&user("call"), calls, &result]);
    assert_eq!(post_gemini(&server, &with_id).await.0, 200);
}

#[tokio::test]
async fn a_request_with_its_key_in_the_url_or_without_a_key_is_refused() {
    let server = ScriptedLlm::start().await;
    let base = server.gemini_base_url();
    let url = format!("{base}/models/m:generateContent");
    for url in [format!("{url}?key=secret"), url] {
        let request = reqwest::Client::new().post(url).json(&body(&[&user("x")]));
        let (status, answer) = send(request).await;
        assert_eq!(
            (status, &answer["error"]["status"]),
            (403, &"PERMISSION_DENIED".into())
        );
    }
    assert_eq!(server.refusals().len(), 2);
}
