//! Replies in unusual forms. If the reply is usable, the job completes at its first try, and its session continues at a
//! strict provider. Some tests check the errors for replies that are not usable.

use scripted_provider::ScriptedReply;
use serde_json::{Value, json};

use crate::fixture::{Fixture, GEMINI, GPT};

/// A reply of an OpenAI-compatible service.
fn completion(message: &Value, finish_reason: &str, usage: &Value) -> Value {
    let choice = json!({ "index": 0, "message": message, "finish_reason": finish_reason });
    json!({ "id": "x", "choices": [choice], "usage": usage })
}

/// A reply of Gemini.
fn candidate(parts: &Value, usage: &Value) -> Value {
    let content = json!({ "role": "model", "parts": parts });
    let candidate = json!({ "content": content, "finishReason": "STOP" });
    json!({ "candidates": [candidate], "usageMetadata": usage })
}

/// Submits a job that the provider answers with `reply`. Returns the job, which must complete at its first try.
async fn run_first_job(fixture: &Fixture, model: &str, reply: ScriptedReply) -> Value {
    fixture.llm.queue_replies("first", [reply]);
    let job = json!({ "session_id": "s", "model": model, "input": "first" });
    let id = fixture.submit(&job).await;
    let job = fixture.wait(&id).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
    job
}

/// Submits the second job of the session, which must complete without a refusal by the provider.
async fn run_second_job(fixture: &Fixture, model: &str, input: &Value) {
    let job = json!({ "session_id": "s", "model": model, "input": input });
    let id = fixture.submit(&job).await;
    let job = fixture.wait(&id).await;
    assert_eq!(job["status"], "completed", "{job}");
    fixture.assert_no_refusals();
}

#[tokio::test]
async fn token_counts_reach_the_job() {
    let openai = json!({
        "prompt_tokens": 2_613, "completion_tokens": 100, "total_tokens": 2_713,
        "prompt_tokens_details": { "cached_tokens": 2_560 },
        "completion_tokens_details": { "reasoning_tokens": 64 },
    });
    let gemini = json!({
        "promptTokenCount": 2_613, "candidatesTokenCount": 36, "thoughtsTokenCount": 64,
        "totalTokenCount": 2_713, "cachedContentTokenCount": 2_560,
    });
    for (model, body) in [
        (GPT, completion(&json!({ "content": "x" }), "stop", &openai)),
        (GEMINI, candidate(&json!([{ "text": "x" }]), &gemini)),
    ] {
        let fixture = Fixture::start().await;
        let job = run_first_job(&fixture, model, ScriptedReply::json(200, body)).await;
        let expected = json!({
            "input_tokens": 2_613, "output_tokens": 100, "total_tokens": 2_713,
            "cached_input_tokens": 2_560, "reasoning_tokens": 64,
        });
        assert_eq!(job["usage"], expected, "{job}");
    }
}

#[tokio::test]
async fn malformed_token_counts_cause_no_retry() {
    let openai = json!({ "prompt_tokens": "12", "completion_tokens": -35, "total_tokens": 12.0 });
    let gemini = json!({ "promptTokenCount": 12.0, "candidatesTokenCount": null });
    for (model, body) in [
        (GPT, completion(&json!({ "content": "x" }), "stop", &openai)),
        (GEMINI, candidate(&json!([{ "text": "x" }]), &gemini)),
    ] {
        let fixture = Fixture::start().await;
        let job = run_first_job(&fixture, model, ScriptedReply::json(200, body)).await;
        let usage = &job["usage"];
        assert_eq!(
            (&usage["input_tokens"], &usage["output_tokens"]),
            (&json!(12), &json!(0)),
            "{job}"
        );
        run_second_job(&fixture, model, &json!("second")).await;
    }
}

#[tokio::test]
async fn a_refusal_beside_an_empty_content_stays_in_the_session() {
    for content in [json!(""), json!([]), json!(null)] {
        let fixture = Fixture::start().await;
        let message = json!({ "content": content, "refusal": "I won't." });
        let body = completion(&message, "stop", &Value::Null);
        let job = run_first_job(&fixture, GPT, ScriptedReply::json(200, body)).await;
        assert_eq!(job["output"]["text"], "I won't.", "{job}");
        assert_eq!(job["finish_reason"], "content_filter", "{job}");
        run_second_job(&fixture, GPT, &json!("second")).await;
        let turns = fixture.session_turns("s").await;
        assert_eq!(turns[1], "assistant: I won't.");
    }
}

#[tokio::test]
async fn a_tool_call_with_a_number_as_its_id_accepts_its_result() {
    let function = json!({ "name": "f", "arguments": "{}" });
    let calls = json!([{ "id": 7, "type": "function", "function": function }]);
    let message = json!({ "content": null, "tool_calls": calls });
    let openai = completion(&message, "tool_calls", &Value::Null);
    let parts = json!([{ "functionCall": { "id": 7, "name": "f", "args": {} } }]);
    for (model, body) in [(GPT, openai), (GEMINI, candidate(&parts, &Value::Null))] {
        let fixture = Fixture::start().await;
        let job = run_first_job(&fixture, model, ScriptedReply::json(200, body)).await;
        let id = &job["output"]["tool_calls"][0]["id"];
        assert_eq!(id, "7", "{job}");
        let result = json!([{ "role": "tool", "tool_call_id": id, "content": "42" }]);
        run_second_job(&fixture, model, &result).await;
    }
}

#[tokio::test]
async fn unreadable_characters_are_replaced_in_the_reply_and_the_session() {
    let openai = "\u{feff}{\"choices\": [{\"message\": {\"content\": \"a\\ud83d\"}}]}";
    let gemini =
        "\u{feff}{\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"a\\ud83d\"}]}}]}";
    for (model, body) in [(GPT, openai), (GEMINI, gemini)] {
        let fixture = Fixture::start().await;
        let reply = ScriptedReply::Status {
            code: 200,
            headers: Vec::new(),
            body: body.to_owned(),
        };
        let job = run_first_job(&fixture, model, reply).await;
        assert_eq!(job["output"]["text"], "a\u{fffd}", "{job}");
        run_second_job(&fixture, model, &json!("second")).await;
    }
}

#[tokio::test]
async fn odd_json_around_a_text_causes_no_retry() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let openai_deep = format!(
        r#"{{"choices": [{{"message": {{"content": "good", "extra_content": {deep}}}}}]}}"#
    );
    let gemini_deep = format!(
        r#"{{"candidates": [{{"content": {{"parts": [{{"text": "good", "new": {deep}}}, null]}}}}]}}"#
    );
    for (model, body) in [
        (
            GPT,
            r#"{"choices": [{"message": {"content": "good", "reasoning_content": "a", "reasoning_content": "b"}}, "x"]}"#,
        ),
        (
            GPT,
            "{\"error\": {\"code\": 0}, \"choices\": [{\"message\": \"good\"}]}\0",
        ),
        (GPT, &openai_deep),
        (
            GEMINI,
            r#"{"candidates": [{"content": {"parts": [{"text": "good", "text": "good"}, {"functionCall": {}}]}}]}"#,
        ),
        (GEMINI, &gemini_deep),
    ] {
        let fixture = Fixture::start().await;
        let reply = ScriptedReply::Status {
            code: 200,
            headers: Vec::new(),
            body: body.to_owned(),
        };
        let job = run_first_job(&fixture, model, reply).await;
        assert_eq!(job["output"]["text"], "good", "{job}");
        run_second_job(&fixture, model, &json!("second")).await;
    }
}

#[tokio::test]
async fn parallel_calls_with_the_same_id_accept_both_results() {
    let call = |id: Value| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let message = json!({ "content": null, "tool_calls": [call(json!(7)), call(json!("7"))] });
    let openai = completion(&message, "tool_calls", &Value::Null);
    let part = |id: Value| json!({ "functionCall": { "id": id, "name": "f", "args": {} } });
    let parts = json!([part(json!(7)), part(json!("7"))]);
    for (model, body) in [(GPT, openai), (GEMINI, candidate(&parts, &Value::Null))] {
        let fixture = Fixture::start().await;
        let job = run_first_job(&fixture, model, ScriptedReply::json(200, body)).await;
        let calls = job["output"]["tool_calls"]
            .as_array()
            .expect("the reply calls tools");
        let ids: Vec<&Value> = calls.iter().map(|call| &call["id"]).collect();
        assert_ne!(ids[0], ids[1], "{job}");
        let result = |id: &Value| json!({ "role": "tool", "tool_call_id": id, "content": "42" });
        run_second_job(&fixture, model, &json!([result(ids[0]), result(ids[1])])).await;
    }
}

#[tokio::test]
async fn a_stream_instead_of_json_fails_the_job_at_once() {
    for model in [GPT, GEMINI] {
        let fixture = Fixture::start().await;
        let stream = ScriptedReply::Status {
            code: 200,
            headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
            body: "data: {\"choices\": []}\n\ndata: [DONE]\n\n".to_owned(),
        };
        fixture.llm.queue_replies("first", [stream]);
        let job = json!({ "session_id": "s", "model": model, "input": "first" });
        let id = fixture.submit(&job).await;
        let job = fixture.wait(&id).await;
        assert_eq!(job["error"]["code"], "invalid_response", "{job}");
        assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
    }
}

#[tokio::test]
async fn reasoning_without_a_text_is_shown_without_a_retry() {
    let message = json!({ "content": "", "reasoning_content": "It is 4." });
    let openai = completion(&message, "stop", &Value::Null);
    let parts = json!([{ "text": "It is 4.", "thought": true }]);
    for (model, body) in [(GPT, openai), (GEMINI, candidate(&parts, &Value::Null))] {
        let fixture = Fixture::start().await;
        let job = run_first_job(&fixture, model, ScriptedReply::json(200, body)).await;
        let expected = json!({ "text": null, "reasoning": "It is 4.", "tool_calls": [] });
        assert_eq!(job["output"], expected, "{job}");
        run_second_job(&fixture, model, &json!("second")).await;
    }
}

#[tokio::test]
async fn the_text_of_an_unfinished_reply_is_in_the_error() {
    let fixture = Fixture::start().await;
    let unfinished = ScriptedReply::finish("error", Some("The answer is"));
    let good = ScriptedReply::text("The answer is 42.");
    fixture.llm.queue_replies("first", [unfinished, good]);
    let id = fixture.submit_message("s", "first").await;
    let job = fixture.wait(&id).await;
    assert_eq!(job["output"]["text"], "The answer is 42.", "{job}");
    let error = &job["attempts"][0]["error"];
    assert_eq!(error["detail"], "The answer is", "{job}");
    assert_eq!(
        fixture.session_turns("s").await,
        ["user: first", "assistant: The answer is 42."]
    );
}

#[tokio::test]
async fn the_providers_own_message_is_in_the_error() {
    let fixture = Fixture::start().await;
    let status = |code, body: &str| ScriptedReply::Status {
        code,
        headers: vec![(
            "location".to_owned(),
            "https://llm.example/v2?key=x".to_owned(),
        )],
        body: body.to_owned(),
    };
    let detail = r#"{"detail": [{"loc": ["body", "role"], "msg": "Input should be 'user'"}]}"#;
    for (input, reply, words) in [
        (
            "detail",
            status(422, detail),
            "body.role: Input should be 'user'",
        ),
        (
            "errors",
            status(400, r#"{"errors": [{"message": "no"}]}"#),
            "400: no",
        ),
        (
            "text",
            status(400, "Invalid model name"),
            "400: Invalid model name",
        ),
        (
            "page",
            status(403, "<html><p>Access denied</p>"),
            "403: Access denied",
        ),
        ("path", status(404, "Not Found"), "/v1/chat/completions"),
        ("redirect", status(308, ""), "https://llm.example/v2:"),
    ] {
        fixture.llm.queue_replies(input, [reply]);
        let id = fixture.submit_message(input, input).await;
        let job = fixture.wait(&id).await;
        let message = job["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{job}");
        assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
    }
}
