//! Checks that the turns and the defaults of a session reach the provider.

use std::{sync::Arc, time::Duration};

use scripted_provider::{ChatRequest, ScriptedLlm};
use serde_json::{Value, json};

use crate::client::{Client, id_of};

/// Creates a session with turns and defaults, runs jobs in it, and checks the requests that the provider gets.
///
/// # Panics
/// If an answer or a call of the provider is not as expected.
pub async fn assert_reach_the_provider(client: &Client, llm: &ScriptedLlm, timeout: Duration) {
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
    let session = json!({
        "turns": [
            {"role": "user", "content": "turn=0"},
            {"role": "assistant", "content": "seen:0"},
        ],
        "attributes": {"user": "ada"},
        "defaults": {
            "model": "gpt-of-session", "instructions": "Be brief.", "tools": tools,
            "context": {"max_turns": 3},
        },
    });
    client.put_session("s", &session).await.expect(201);
    let call = async |job: &Value| {
        let submitted = client.submit_ok(job).await;
        let ended = client.wait(id_of(&submitted), timeout).await;
        assert_eq!(ended["status"], "completed", "{ended}");
        let calls = llm.recorded();
        (
            ended,
            Arc::clone(&calls.last().expect("a call was made").request),
        )
    };
    let (job, request) = call(&json!({"session_id": "s", "input": "turn=1"})).await;
    assert_eq!(job["model"], "gpt-of-session");
    assert_eq!(instructions(&request), "Be brief.");
    assert_eq!(request.body["tools"], tools);
    assert_eq!(request.turn_numbers(), [0, 1]);

    // The fields of a submit override the defaults, for its own job only.
    let own = json!({
        "session_id": "s", "input": "turn=2", "model": "gpt-own", "instructions": "In French.",
        "context": {"max_turns": 1},
    });
    let (job, request) = call(&own).await;
    assert_eq!(job["model"], "gpt-own");
    assert_eq!(instructions(&request), "In French.");
    assert_eq!(request.body["tools"], tools);
    assert_eq!(request.turn_numbers(), [2]);

    // A change of the defaults applies to the next job.
    let change = json!({"defaults": {"instructions": null, "tools": null}});
    let changed = client.patch_session("s", &change).await.expect(200);
    assert_eq!(changed["attributes"], session["attributes"]);
    let (_, request) = call(&json!({"session_id": "s", "input": "turn=3"})).await;
    assert_eq!(request.model, "gpt-of-session");
    assert_eq!(request.messages()[0].role, "user");
    assert!(request.body.get("tools").is_none(), "{}", request.body);
    assert_eq!(
        request.turn_numbers(),
        [2, 3],
        "at most three turns are sent"
    );
    let shown = client.session("s").await.expect(200);
    assert_eq!(shown["turn_count"], 8);
    let expected = json!({"model": "gpt-of-session", "context": {"max_turns": 3}});
    assert_eq!(shown["defaults"], expected);
    assert_eq!(llm.refusals(), Vec::<String>::new());
}

fn instructions(request: &ChatRequest) -> String {
    let first = request.messages().remove(0);
    assert!(
        ["system", "developer"].contains(&first.role.as_str()),
        "{first:?}"
    );
    first.text
}
