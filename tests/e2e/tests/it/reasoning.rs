//! A reasoning model sends its reasoning with its tool calls. With the tool results, Forebay returns the reasoning to
//! the same provider, and to no other provider.

use scripted_provider::{ChatRequest, ScriptedLlm, ScriptedReply};
use serde_json::{Value, json};

use crate::fixture::{Fixture, GEMINI, GPT};

/// A tool call with reasoning, in the format of DeepSeek and OpenRouter.
fn call_with_reasoning(reasoning: &str, details: &Value) -> ScriptedReply {
    let call = json!({
        "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{}" },
    });
    let message = json!({
        "role": "assistant",
        "content": "",
        "reasoning_content": reasoning,
        "reasoning_details": details,
        "tool_calls": [call],
    });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "tool_calls" });
    ScriptedReply::json(200, json!({ "id": "x", "choices": [choice] }))
}

/// The messages of the newest request.
fn newest_messages(fixture: &Fixture) -> Value {
    let records = fixture.llm.recorded();
    let newest = records.last().expect("the provider got a request");
    newest.request.body["messages"].clone()
}

/// The refusals of both providers. The first provider, with the model [`GPT`], does what DeepSeek does: it refuses a request
/// with a tool call that lacks its reasoning. The other provider refuses a tool call with reasoning, because it does not
/// know that field.
fn refusal(request: &ChatRequest) -> Option<ScriptedReply> {
    let messages = request.body["messages"].as_array()?;
    let is_refused = |message: &Value| {
        let has_reasoning = message.get("reasoning_content").is_some();
        let is_call = message.get("tool_calls").is_some();
        is_call && has_reasoning != (request.model == GPT)
    };
    let body = json!({ "error": { "message": "no", "type": "invalid_request_error" } });
    let has_refused_message = messages.iter().any(is_refused);
    has_refused_message.then(|| ScriptedReply::json(400, body))
}

#[tokio::test]
async fn reasoning_is_returned_with_the_tool_results_to_its_provider_only() {
    let llm = ScriptedLlm::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let file = folder.path().join("providers.toml");
    let providers = format!(
        "[providers.other]\nbase_url = \"{}\"\n",
        llm.openai_base_url()
    );
    std::fs::write(&file, providers).expect("the file is written");
    let file = file.to_str().expect("the path is UTF-8");
    let fixture = Fixture::with_provider(llm, &[("FOREBAY_PROVIDERS_FILE", file)]).await;

    let details = json!([{ "type": "reasoning.encrypted", "id": "r1", "data": "c2VjcmV0" }]);
    let calls = call_with_reasoning("I had better look.", &details);
    fixture.llm.queue_replies("turn=0", [calls]);
    let id = fixture.submit_message("s", "turn=0").await;
    let job = fixture.wait(&id).await;
    assert_eq!(job["finish_reason"], "tool_calls", "{job}");
    assert_eq!(job["output"]["text"], Value::Null, "{job}");

    fixture.llm.add_rule(refusal);
    let result = json!([{ "role": "tool", "tool_call_id": "call_1", "content": "42" }]);
    let id = fixture
        .submit(&json!({ "session_id": "s", "input": result }))
        .await;
    assert_eq!(fixture.completed_text(&id).await, "seen:0");
    let call = newest_messages(&fixture)[1].clone();
    assert_eq!(call["reasoning_content"], "I had better look.", "{call}");
    assert_eq!(call["reasoning_details"], details, "{call}");
    assert_eq!(call.get("extra_content"), None, "{call}");

    let job_for_other_provider =
        json!({ "session_id": "s", "input": "turn=1", "model": "other/x" });
    let id = fixture.submit(&job_for_other_provider).await;
    assert_eq!(fixture.completed_text(&id).await, "seen:0,1");
    let sent = newest_messages(&fixture).to_string();
    assert!(
        !sent.contains("reasoning") && !sent.contains("extra_content"),
        "another provider got the reasoning: {sent}"
    );

    // The first provider gets the reasoning again.
    let id = fixture.submit_message("s", "turn=2").await;
    assert_eq!(fixture.completed_text(&id).await, "seen:0,1,2");
    assert_eq!(newest_messages(&fixture)[1], call);
    fixture.assert_no_refusals();
}

/// Gemini refuses tool calls without its signature, and the calls of another provider have no signature.
#[tokio::test]
async fn a_session_with_tool_calls_of_another_provider_continues_with_gemini() {
    let fixture = Fixture::start().await;
    fixture
        .llm
        .queue_replies("turn=0", [call_with_reasoning("", &Value::Null)]);
    let id = fixture.submit_message("s", "turn=0").await;
    let job = fixture.wait(&id).await;
    assert_eq!(job["finish_reason"], "tool_calls", "{job}");

    let result = json!([{ "role": "tool", "tool_call_id": "call_1", "content": "42" }]);
    let job_for_other_provider = json!({ "session_id": "s", "input": result, "model": GEMINI });
    let id = fixture.submit(&job_for_other_provider).await;
    assert_eq!(fixture.completed_text(&id).await, "seen:0");
    fixture.assert_no_refusals();
}
