//! Creates jobs and sessions in many different states.

use e2e::client::{Client, id_of};
use scripted_provider::{Gate, ProviderError, ScriptedLlm, ScriptedReply};
use serde_json::{Map, Value, json};

/// The sessions of the scenario.
pub(crate) const SESSIONS: [&str; 3] = ["chat", "tools", "busy"];
/// The names of the jobs that are live when the scenario is complete.
pub(crate) const LIVE: [&str; 6] = [
    "under_hold",
    "retrying",
    "running",
    "behind",
    "behind_with_key",
    "batch",
];
/// The idempotency keys. Each is also the name of its job.
pub(crate) const KEYS: [&str; 2] = ["completed_with_key", "behind_with_key"];

/// The request body that submits the job with this name.
pub(crate) fn submission_of(name: &str) -> Value {
    let function =
        json!({"name": "look", "description": "Looks.", "parameters": {"type": "object"}});
    match name {
        "completed_with_key" => json!({
            "session_id": "chat", "input": "turn=0", "metadata": {"k": "v"},
        }),
        "completed_with_parts" => json!({
            "session_id": "chat",
            "input": [{"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "turn=1", "extra_content": {"google": {"a": 1}}},
                {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}},
            ]}],
            "instructions": "In French.", "temperature": 0.5, "stop": ["a", "b"], "reasoning_effort": "low",
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
            "context": {"max_turns": 30}, "extra_body": {"seed": 1},
        }),
        "solo" => json!({"input": "turn=0"}),
        "failed" => json!({"input": "refuse this"}),
        "calls_a_tool" => json!({
            "session_id": "tools", "input": "call a tool", "tool_wait_s": 300,
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": "look"}},
        }),
        "under_hold" => json!({"session_id": "tools", "input": "turn=1"}),
        "retrying" => json!({"input": "try this later, turn=0"}),
        "running" => json!({"session_id": "busy", "input": "turn=0"}),
        "behind" => json!({"session_id": "busy", "input": "turn=1"}),
        "behind_with_key" => json!({"session_id": "busy", "input": "turn=2"}),
        "expired" => json!({"session_id": "busy", "input": "turn=3", "expires_in_s": 1}),
        "cancelled" => json!({"session_id": "busy", "input": "turn=4"}),
        "batch" => json!({"priority": "batch", "input": "turn=0"}),
        _ => panic!("the scenario has no job {name}"),
    }
}

/// Creates the jobs and sessions. Returns what the API shows of them, and the gate at which the running calls wait.
pub(crate) async fn create(client: &Client, llm: &ScriptedLlm) -> (Value, Gate) {
    queue_replies(llm);
    let mut ids = Map::new();
    for name in [
        "completed_with_key",
        "completed_with_parts",
        "solo",
        "failed",
        "calls_a_tool",
    ] {
        wait_for_end(client, &submit(client, name, &mut ids).await).await;
    }
    submit(client, "under_hold", &mut ids).await;
    let retrying = submit(client, "retrying", &mut ids).await;
    wait_until(client, &retrying, |job| {
        job["status"] == "queued" && job["attempts"][0]["error"].is_object()
    })
    .await;
    let gate = llm.gate_all_requests();
    for name in ["running", "batch"] {
        let id = submit(client, name, &mut ids).await;
        wait_until(client, &id, |job| job["status"] == "in_progress").await;
    }
    submit(client, "behind", &mut ids).await;
    submit(client, "behind_with_key", &mut ids).await;
    let cancelled = submit(client, "cancelled", &mut ids).await;
    client.cancel(&cancelled).await.expect(200);
    wait_for_end(client, &submit(client, "expired", &mut ids).await).await;
    (view(client, &ids).await, gate)
}

/// The jobs and the sessions, as the API shows them.
pub(crate) async fn view(client: &Client, ids: &Map<String, Value>) -> Value {
    let (mut jobs, mut sessions) = (Map::new(), Map::new());
    for (name, id) in ids {
        let id = id.as_str().expect("the job has an id");
        jobs.insert(name.clone(), client.job(id).await.expect(200));
    }
    for name in SESSIONS {
        sessions.insert(name.to_owned(), client.session(name).await.expect(200));
    }
    json!({"jobs": jobs, "sessions": sessions})
}

/// Waits until a job has ended, and returns the job.
pub(crate) async fn wait_for_end(client: &Client, id: &str) -> Value {
    wait_until(client, id, e2e::client::is_terminal).await
}

/// Waits until `condition` is true for a job, and returns the job.
pub(crate) async fn wait_until(
    client: &Client,
    id: &str,
    condition: impl Fn(&Value) -> bool,
) -> Value {
    let mut job = Value::Null;
    let reached = async || {
        job = client.job(id).await.expect(200);
        condition(&job)
    };
    assert!(
        e2e::fleet::poll_until(e2e::fleet::TIMEOUT, reached).await,
        "the job did not reach the expected state: {job}"
    );
    job
}

/// Submits the job with this name, and adds its id to `ids`.
async fn submit(client: &Client, name: &str, ids: &mut Map<String, Value>) -> String {
    let submission = submission_of(name);
    let answer = if KEYS.contains(&name) {
        client.submit_with_key(&submission, name).await
    } else {
        client.submit(&submission).await
    };
    let id = id_of(&answer.expect(202)).to_owned();
    ids.insert(name.to_owned(), json!(id));
    id
}

/// Queues the provider's replies to the jobs that fail, wait for a retry, or call a tool.
fn queue_replies(llm: &ScriptedLlm) {
    llm.queue_replies(
        "refuse this",
        [ScriptedReply::Error(ProviderError::unauthorized())],
    );
    let busy = ProviderError::new(503, "busy").with_retry_after_s(15);
    llm.queue_replies("try this later", [ScriptedReply::Error(busy)]);
    let call = json!({
        "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "c2ln"}},
    });
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    let completion = json!({"id": "r", "choices": [choice], "usage": usage});
    llm.queue_replies("call a tool", [ScriptedReply::json(200, completion)]);
}
