//! Sessions with content that strict servers refuse: unusual replies of a model, a system message in every job, and fields
//! that only one provider has. The scripted providers refuse what strict servers refuse. Neither the provider that
//! returned a reply nor the other provider may refuse a request of these tests.

use scripted_provider::{ScriptedCall, ScriptedReply};
use serde_json::{Value, json};

use crate::fixture::{Fixture, GEMINI, GPT};

for_both_providers!(
    a_system_message_in_every_job_is_sent_once,
    a_developer_message_is_sent_as_system,
    an_image_is_sent_with_its_registered_type,
    a_speakers_name_an_image_detail_and_a_greeting_do_not_break_a_session,
    a_tool_result_with_the_key_ref_is_sent,
    an_invented_tool_name_does_not_break_a_session,
    replies_can_be_sent_back_as_they_came,
);

/// A reply in OpenAI's form with this message.
fn reply(message: &Value, finish_reason: &str) -> ScriptedReply {
    let choice = json!({ "index": 0, "message": message, "finish_reason": finish_reason });
    ScriptedReply::json(200, json!({ "id": "r", "choices": [choice] }))
}

fn result(id: &Value, content: &str) -> Value {
    json!([{ "role": "tool", "tool_call_id": id, "content": content }])
}

/// Runs a job in session `s` with a model, and returns it.
async fn run(fixture: &Fixture, model: &str, input: &Value) -> Value {
    run_in(fixture, "s", model, input).await
}

async fn run_in(fixture: &Fixture, session: &str, model: &str, input: &Value) -> Value {
    let job = json!({ "session_id": session, "model": model, "input": input });
    let id = fixture.submit(&job).await;
    let job = fixture.wait(&id).await;
    assert_eq!(job["status"], "completed", "{job}");
    job
}

/// The body of the newest request.
fn newest_body(fixture: &Fixture) -> Value {
    let records = fixture.llm.recorded();
    records
        .last()
        .expect("a request arrives")
        .request
        .body
        .clone()
}

/// The messages or contents of a request.
fn messages(body: &Value) -> &Vec<Value> {
    let messages = body["messages"].as_array();
    let messages = messages.or_else(|| body["contents"].as_array());
    messages.expect("the request has messages")
}

#[tokio::test]
async fn unusual_tool_calls_do_not_break_a_session() {
    let fixture = Fixture::start().await;
    let rows = [
        ("f", json!("")),
        ("f", json!("null")),
        ("f", json!(r#"{"x": "cut o"#)),
        ("f", json!("[1]")),
        ("f", json!(r#""{\"x\": 1}""#)),
        ("browser.tabs.open", json!("{}")),
        ("Wie ist das Wetter?", json!("{}")),
        ("", json!("{}")),
    ];
    for (n, (name, arguments)) in rows.iter().enumerate() {
        let session = format!("s{n}");
        let marker = format!("turn=0 row {n}.");
        let call =
            json!({ "type": "function", "function": { "name": name, "arguments": arguments } });
        let message = json!({ "role": "assistant", "content": null, "tool_calls": [call] });
        fixture
            .llm
            .queue_replies(&marker, [reply(&message, "tool_calls")]);
        let job = run_in(&fixture, &session, GPT, &json!(marker)).await;
        let call = &job["output"]["tool_calls"][0];
        assert_eq!(call["function"]["name"], *name, "{job}");
        // The session continues with two jobs at the same provider and one at the other provider.
        run_in(
            &fixture,
            &session,
            GPT,
            &result(&call["id"], "no such tool"),
        )
        .await;
        run_in(&fixture, &session, GPT, &json!("turn=1")).await;
        let job = run_in(&fixture, &session, GEMINI, &json!("turn=2")).await;
        assert_eq!(job["output"]["text"], "seen:0,1,2", "{job}");
    }
    fixture.assert_no_refusals();
}

#[tokio::test]
async fn empty_replies_do_not_break_a_session() {
    let fixture = Fixture::start().await;
    for (n, content) in [Value::Null, json!(""), json!([])].iter().enumerate() {
        let session = format!("s{n}");
        let marker = format!("turn=0 row {n}.");
        let message = json!({ "role": "assistant", "content": content });
        fixture
            .llm
            .queue_replies(&marker, [reply(&message, "length")]);
        let job = run_in(&fixture, &session, GPT, &json!(marker)).await;
        assert_eq!(job["finish_reason"], "length", "{job}");
        run_in(&fixture, &session, GPT, &json!("turn=1")).await;
        let job = run_in(&fixture, &session, GEMINI, &json!("turn=2")).await;
        assert_eq!(job["output"]["text"], "seen:0,1,2", "{job}");
    }
    // Gemini returns no text, for safety reasons. The session continues at the other provider.
    let empty = ScriptedReply::finish("SAFETY", None);
    fixture.llm.queue_replies("turn=0 at gemini.", [empty]);
    run(&fixture, GEMINI, &json!("turn=0 at gemini.")).await;
    let job = run(&fixture, GPT, &json!("turn=1")).await;
    assert_eq!(job["output"]["text"], "seen:0,1", "{job}");
    fixture.assert_no_refusals();
}

#[tokio::test]
async fn nothing_of_one_provider_is_sent_to_the_other() {
    let fixture = Fixture::start().await;
    let two_calls = vec![
        ScriptedCall::new("f", json!({ "x": 1 })),
        ScriptedCall::new("g", json!({ "x": 2 })),
    ];
    fixture
        .llm
        .queue_replies("turn=0", [ScriptedReply::ToolCalls(two_calls)]);
    let job = run(&fixture, GEMINI, &json!("turn=0")).await;
    let results: Vec<Value> = (0..2)
        .map(|n| {
            let id = &job["output"]["tool_calls"][n]["id"];
            json!({ "role": "tool", "tool_call_id": id, "content": "42" })
        })
        .collect();
    run(&fixture, GPT, &json!(results)).await;
    for text in ["turn=1", "turn=2"] {
        run(&fixture, GPT, &json!(text)).await;
        let body = newest_body(&fixture);
        let sent = body.to_string();
        assert!(
            !sent.contains("signature") && !sent.contains("extra_content"),
            "{sent}"
        );
        for n in 0..2 {
            let id = &messages(&body)[1]["tool_calls"][n]["id"];
            assert_eq!(id, &messages(&body)[2 + n]["tool_call_id"], "{sent}");
            assert_eq!(id.as_str().map(str::len), Some(9), "{sent}");
        }
    }
    // Gemini refuses its own tool calls without their signatures, so Forebay must send these again.
    run(&fixture, GEMINI, &json!("turn=3")).await;
    fixture.assert_no_refusals();
}

async fn a_system_message_in_every_job_is_sent_once(model: &str) {
    let fixture = Fixture::start().await;
    for n in 0..3 {
        let input = json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": format!("turn={n}") },
        ]);
        let job = json!({ "session_id": "s", "model": model, "input": input, "instructions": "In French." });
        let id = fixture.submit(&job).await;
        fixture.completed_text(&id).await;
        let body = newest_body(&fixture);
        let expected = match model {
            GEMINI => json!({ "parts": [{ "text": "In French." }, { "text": "Be brief." }] }),
            _ => json!({ "role": "system", "content": "In French.\n\nBe brief." }),
        };
        let sent = match model {
            GEMINI => &body["systemInstruction"],
            _ => &body["messages"][0],
        };
        assert_eq!(*sent, expected, "{body}");
        assert_eq!(body.to_string().matches("Be brief.").count(), 1, "{body}");
    }
    // Instructions and a system message with the same text are sent once.
    let input = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "turn=0" },
    ]);
    let job =
        json!({ "session_id": "t", "model": model, "input": input, "instructions": "Be brief." });
    let id = fixture.submit(&job).await;
    fixture.completed_text(&id).await;
    let body = newest_body(&fixture);
    assert_eq!(body.to_string().matches("Be brief.").count(), 1, "{body}");
    fixture.assert_no_refusals();
}

async fn a_developer_message_is_sent_as_system(model: &str) {
    let fixture = Fixture::start().await;
    let input = json!([
        { "role": "user", "content": "turn=0" },
        { "role": "developer", "content": "Be brief." },
    ]);
    run(&fixture, model, &input).await;
    run(&fixture, model, &json!("turn=1")).await;
    let body = newest_body(&fixture);
    let text = match model {
        GEMINI => &body["systemInstruction"]["parts"][0]["text"],
        _ => &body["messages"][0]["content"],
    };
    assert_eq!(text, "Be brief.", "{body}");
    fixture.assert_no_refusals();
}

async fn an_image_is_sent_with_its_registered_type(model: &str) {
    let fixture = Fixture::start().await;
    let image =
        json!({ "type": "image_url", "image_url": { "url": "data:image/JPG;base64,AAAA" } });
    let input =
        json!([{ "role": "user", "content": [{ "type": "text", "text": "turn=0" }, image] }]);
    run(&fixture, model, &input).await;
    run(&fixture, model, &json!("turn=1")).await;
    let body = newest_body(&fixture);
    let sent = match model {
        GEMINI => &body["contents"][0]["parts"][1]["inlineData"]["mimeType"],
        _ => &body["messages"][0]["content"][1]["image_url"]["url"],
    };
    let sent = sent
        .as_str()
        .expect("the value is a text")
        .trim_start_matches("data:");
    assert!(sent.starts_with("image/jpeg"), "{body}");
    fixture.assert_no_refusals();
}

async fn a_speakers_name_an_image_detail_and_a_greeting_do_not_break_a_session(model: &str) {
    let fixture = Fixture::start().await;
    let image = json!({ "type": "image_url", "image_url": { "url": "https://x.example/a.png", "detail": "low" } });
    let input = json!([
        { "role": "assistant", "content": "Welcome!" },
        { "role": "user", "name": "ann", "content": [{ "type": "text", "text": "turn=0" }, image] },
    ]);
    run(&fixture, model, &input).await;
    let job = run(&fixture, model, &json!("turn=1")).await;
    assert_eq!(job["output"]["text"], "seen:0,1", "{job}");
    fixture.assert_no_refusals();
}

async fn a_tool_result_with_the_key_ref_is_sent(model: &str) {
    let fixture = Fixture::start().await;
    let call = ScriptedReply::tool_call("schema", json!({}));
    fixture.llm.queue_replies("turn=0", [call]);
    let job = run(&fixture, model, &json!("turn=0")).await;
    let schema = r##"[{"a": {"$ref": "#/$defs/A"}}]"##;
    let id = &job["output"]["tool_calls"][0]["id"];
    run(&fixture, model, &result(id, schema)).await;
    run(&fixture, model, &json!("turn=1")).await;
    let body = newest_body(&fixture);
    let sent = match model {
        GEMINI => &body["contents"][2]["parts"][0]["functionResponse"]["response"]["output"],
        _ => &body["messages"][2]["content"],
    };
    assert_eq!(sent, schema, "{body}");
    fixture.assert_no_refusals();
}

async fn an_invented_tool_name_does_not_break_a_session(model: &str) {
    let fixture = Fixture::start().await;
    let call = ScriptedReply::tool_call("Wie ist das Wetter?", json!({}));
    fixture.llm.queue_replies("turn=0", [call]);
    let other = if model == GPT { GEMINI } else { GPT };
    let job = run(&fixture, model, &json!("turn=0")).await;
    let call = &job["output"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "Wie ist das Wetter?", "{job}");
    run(&fixture, other, &result(&call["id"], "no such tool")).await;
    let job = run(&fixture, other, &json!("turn=1")).await;
    assert_eq!(job["output"]["text"], "seen:0,1", "{job}");
    fixture.assert_no_refusals();
}

async fn replies_can_be_sent_back_as_they_came(model: &str) {
    let fixture = Fixture::start().await;
    let empty_fields =
        json!({ "refusal": null, "annotations": [], "audio": null, "function_call": null });
    let assistant = |fields: Value| {
        let mut message = empty_fields.clone();
        message["role"] = json!("assistant");
        for (name, value) in fields.as_object().expect("the value is an object") {
            message[name] = value.clone();
        }
        message
    };
    let call = json!({ "index": 0, "id": "1", "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let input = json!([
        { "role": "user", "content": "turn=0" },
        assistant(json!({ "content": "hi", "tool_calls": null, "reasoning_content": "hm" })),
        { "role": "user", "content": "turn=1" },
        assistant(json!({ "content": null, "tool_calls": [call] })),
        { "role": "tool", "tool_call_id": "1", "content": "42" },
        assistant(json!({ "content": null, "refusal": "I won't." })),
        { "role": "user", "content": "turn=2" },
        assistant(json!({ "content": "", "refusal": "I can't." })),
        { "role": "user", "content": "turn=3" },
        assistant(json!({ "content": "", "tool_calls": [], "reasoning_content": "hm" })),
        { "role": "user", "content": "turn=4" },
    ]);
    run(&fixture, model, &input).await;
    let job = run(&fixture, model, &json!("turn=5")).await;
    assert_eq!(job["output"]["text"], "seen:0,1,2,3,4,5", "{job}");
    let sent = newest_body(&fixture).to_string();
    assert!(
        sent.contains("I won't.") && sent.contains("I can't."),
        "{sent}"
    );
    assert!(!sent.contains("hm"), "{sent}");
    fixture.assert_no_refusals();
}
