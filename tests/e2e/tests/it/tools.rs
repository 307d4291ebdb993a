//! Requests of agents, to both providers: tool loops while messages wait, missing tool results, images, replies that
//! follow a schema, and long sessions with `max_turns`. The scripted providers refuse what the real providers refuse,
//! and they must refuse no request of these tests.

use scripted_provider::{ChatRequest, Dialect, ScriptedCall, ScriptedReply};
use serde_json::{Value, json};

use crate::fixture::Fixture;

for_both_providers!(
    messages_wait_for_two_rounds_of_tools,
    a_message_runs_after_the_wait_for_missing_results,
    a_call_without_a_result_gets_the_content_no_result,
    results_of_parallel_calls_come_one_by_one,
    an_image_is_passed_on,
    a_schema_for_the_reply_is_passed_on,
    with_max_turns_of_ten_every_request_of_a_long_session_has_at_most_ten_turns,
    tools_and_tool_choice_are_passed_on,
);

/// Starts a process whose default model is `model`.
async fn fixture(model: &str) -> Fixture {
    Fixture::with(&[("FOREBAY_MODEL", model)]).await
}

/// The declarations of tools with these names.
fn tools(names: &[&str]) -> Value {
    let tool = |name: &&str| {
        let parameters = json!({ "type": "object", "properties": { "x": { "type": "integer" } } });
        let function = json!({ "name": name, "description": "looks", "parameters": parameters });
        json!({ "type": "function", "function": function })
    };
    names.iter().map(tool).collect()
}

/// A job in session `s` with the tools `f` and `g`.
fn job(input: &Value) -> Value {
    json!({ "session_id": "s", "input": input, "tools": tools(&["f", "g"]) })
}

/// Waits for a reply that calls tools, and returns the ids of the tool calls.
async fn tool_call_ids(fixture: &Fixture, id: &str) -> Vec<String> {
    let job = fixture.wait(id).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["finish_reason"], "tool_calls", "{job}");
    let calls = job["output"]["tool_calls"]
        .as_array()
        .expect("the reply calls tools");
    assert!(!calls.is_empty(), "the reply calls no tool: {job}");
    let id = |call: &Value| call["id"].as_str().expect("the call has an id").to_owned();
    calls.iter().map(id).collect()
}

fn tool_result(id: &str, content: &str) -> Value {
    json!({ "role": "tool", "tool_call_id": id, "content": content })
}

/// The turn numbers in each request, in the order of the requests' arrival.
fn turn_numbers(fixture: &Fixture) -> Vec<Vec<u64>> {
    let records = fixture.llm.recorded();
    records
        .iter()
        .map(|record| record.request.turn_numbers())
        .collect()
}

async fn messages_wait_for_two_rounds_of_tools(model: &str) {
    let fixture = fixture(model).await;
    let two_calls = vec![
        ScriptedCall::new("f", json!({ "x": 1 })),
        ScriptedCall::new("g", json!({ "x": 2 })),
    ];
    fixture.llm.queue_replies(
        "turn=0",
        [
            ScriptedReply::ToolCalls(two_calls),
            ScriptedReply::tool_call("f", json!({ "x": 3 })),
        ],
    );
    let gate = fixture.llm.gate_all_requests();
    let first = fixture.submit(&job(&json!("turn=0"))).await;
    fixture.wait_for_call("turn=0").await;
    // One message is submitted before the model calls the tools, another while the tools run.
    let before = fixture.submit(&job(&json!("turn=1"))).await;
    gate.open();
    let calls = tool_call_ids(&fixture, &first).await;
    assert_eq!(calls.len(), 2);
    let meanwhile = fixture.submit(&job(&json!("turn=2"))).await;

    // The results are submitted in another order than the calls.
    let results = json!([
        tool_result(&calls[1], "{\"y\": 2}"),
        tool_result(&calls[0], "one")
    ]);
    let second = fixture.submit(&job(&results)).await;
    let calls = tool_call_ids(&fixture, &second).await;
    let third = fixture
        .submit(&job(&json!([tool_result(&calls[0], "three")])))
        .await;
    assert_eq!(fixture.completed_text(&third).await, "seen:0");
    assert_eq!(fixture.completed_text(&before).await, "seen:0,1");
    assert_eq!(fixture.completed_text(&meanwhile).await, "seen:0,1,2");

    let expected: [&[u64]; 5] = [&[0], &[0], &[0], &[0, 1], &[0, 1, 2]];
    assert_eq!(
        turn_numbers(&fixture),
        expected,
        "{}",
        fixture.llm.listing()
    );
    let turns = fixture.session_turns("s").await;
    let expected = [
        "user: turn=0",
        "assistant calls f, g",
        "tool: {\"y\": 2}",
        "tool: one",
        "assistant calls f",
        "tool: three",
        "assistant: seen:0",
        "user: turn=1",
        "assistant: seen:0,1",
        "user: turn=2",
        "assistant: seen:0,1,2",
    ];
    assert_eq!(turns, expected);
    fixture.assert_no_refusals();
}

async fn a_message_runs_after_the_wait_for_missing_results(model: &str) {
    let fixture = fixture(model).await;
    fixture
        .llm
        .queue_replies("turn=0", [ScriptedReply::tool_call("f", json!({ "x": 1 }))]);
    let mut first = job(&json!("turn=0"));
    first["tool_wait_s"] = json!(1);
    let first = fixture.submit(&first).await;
    tool_call_ids(&fixture, &first).await;
    let next = fixture.submit(&job(&json!("turn=1"))).await;
    assert_eq!(fixture.completed_text(&next).await, "seen:0,1");

    let records = fixture.llm.recorded();
    // The wait began when the worker got the reply, after the first call arrived. The provider may record the end of that call too late.
    let waited = records[1].request.arrived_at - records[0].request.arrived_at;
    assert!(
        waited.as_millis() >= 1_000,
        "the message waited only {waited:?} for the tool results"
    );
    assert!(records[1].request.body.to_string().contains("no result"));
    let turns = fixture.session_turns("s").await;
    assert_eq!(
        turns[1..4],
        ["assistant calls f", "tool: no result", "user: turn=1"]
    );
    let last = fixture.submit(&job(&json!("turn=2"))).await;
    assert_eq!(fixture.completed_text(&last).await, "seen:0,1,2");
    fixture.assert_no_refusals();
}

async fn a_call_without_a_result_gets_the_content_no_result(model: &str) {
    let fixture = fixture(model).await;
    let two_calls = vec![
        ScriptedCall::new("f", json!({ "x": 1 })),
        ScriptedCall::new("g", json!({ "x": 2 })),
    ];
    fixture
        .llm
        .queue_replies("turn=0", [ScriptedReply::ToolCalls(two_calls)]);
    let first = fixture.submit(&job(&json!("turn=0"))).await;
    let calls = tool_call_ids(&fixture, &first).await;
    let mut one_result = job(&json!([tool_result(&calls[1], "the answer of g")]));
    // The job waits this long for the other result. The default is a minute.
    one_result["tool_wait_s"] = json!(1);
    let second = fixture.submit(&one_result).await;
    assert_eq!(fixture.completed_text(&second).await, "seen:0");
    let body = fixture.llm.recorded()[1].request.body.to_string();
    assert!(body.contains("no result") && body.contains("the answer of g"));
    // The session still accepts messages.
    let third = fixture.submit(&job(&json!("turn=1"))).await;
    assert_eq!(fixture.completed_text(&third).await, "seen:0,1");
    fixture.assert_no_refusals();
}

async fn results_of_parallel_calls_come_one_by_one(model: &str) {
    let fixture = fixture(model).await;
    let two_calls = vec![
        ScriptedCall::new("f", json!({ "x": 1 })),
        ScriptedCall::new("g", json!({ "x": 2 })),
    ];
    fixture
        .llm
        .queue_replies("turn=0", [ScriptedReply::ToolCalls(two_calls)]);
    let first = fixture.submit(&job(&json!("turn=0"))).await;
    let calls = tool_call_ids(&fixture, &first).await;
    let message = fixture.submit(&job(&json!("turn=1"))).await;
    let second = json!([tool_result(&calls[1], "the answer of g")]);
    let second = fixture.submit(&job(&second)).await;
    let last = json!([tool_result(&calls[0], "the answer of f")]);
    let last = fixture.submit(&job(&last)).await;
    let partial = fixture.wait(&second).await;
    assert_eq!(partial["status"], "completed", "{partial}");
    assert_eq!(partial["finish_reason"], "partial_results", "{partial}");
    assert_eq!(
        partial["output"],
        json!({ "text": null, "tool_calls": [] }),
        "{partial}"
    );
    assert_eq!(partial["provider"], Value::Null, "{partial}");
    assert_eq!(fixture.completed_text(&last).await, "seen:0");
    assert_eq!(fixture.completed_text(&message).await, "seen:0,1");

    // A result that was submitted before, and a result of a call that the model did not make.
    for id in [calls[0].as_str(), "unknown_call"] {
        let late = fixture
            .submit(&job(&json!([tool_result(id, "late")])))
            .await;
        let late = fixture.wait(&late).await;
        assert_eq!(late["status"], "failed", "{late}");
        assert_eq!(late["error"]["code"], "unexpected_tool_result", "{late}");
    }
    let records = fixture.llm.recorded();
    assert_eq!(records.len(), 3, "{}", fixture.llm.listing());
    for record in records {
        assert!(!record.request.body.to_string().contains("no result"));
    }
    fixture.assert_no_refusals();
}

async fn an_image_is_passed_on(model: &str) {
    let fixture = fixture(model).await;
    let image = |url: &str| json!({ "type": "image_url", "image_url": { "url": url } });
    let content = json!([
        { "type": "text", "text": "turn=0 what is this?" },
        image("data:image/png;base64,iVBORw0KGgo="),
        image("https://images.example/a.jpg"),
    ]);
    let message = json!([{ "role": "user", "content": content }]);
    let id = fixture.submit(&job(&message)).await;
    assert_eq!(fixture.completed_text(&id).await, "seen:0");
    let next = fixture.submit(&job(&json!("turn=1"))).await;
    assert_eq!(fixture.completed_text(&next).await, "seen:0,1");
    // The next turn's context contains the image too.
    for record in fixture.llm.recorded() {
        let sent = match record.request.dialect {
            Dialect::OpenAi => record.request.body["messages"][0]["content"].clone(),
            Dialect::Gemini => record.request.body["contents"][0]["parts"].clone(),
        };
        let expected = match record.request.dialect {
            Dialect::OpenAi => content.clone(),
            Dialect::Gemini => json!([
                { "text": "turn=0 what is this?" },
                { "inlineData": { "mimeType": "image/png", "data": "iVBORw0KGgo=" } },
                { "fileData": { "mimeType": "image/jpeg", "fileUri": "https://images.example/a.jpg" } },
            ]),
        };
        assert_eq!(sent, expected);
    }
    fixture.assert_no_refusals();
}

async fn a_schema_for_the_reply_is_passed_on(model: &str) {
    let fixture = fixture(model).await;
    let reply = json!({ "answer": 42 }).to_string();
    fixture
        .llm
        .queue_replies("turn=0", [ScriptedReply::text(reply.clone())]);
    let schema = json!({
        "type": "object",
        "properties": { "answer": { "type": "integer" } },
        "required": ["answer"],
    });
    let format = json!({
        "type": "json_schema",
        "json_schema": { "name": "answer", "schema": schema, "strict": true },
    });
    let mut request = job(&json!("turn=0"));
    request["response_format"] = format.clone();
    let id = fixture.submit(&request).await;
    assert_eq!(fixture.completed_text(&id).await, reply);
    let received = fixture.llm.recorded()[0].request.clone();
    match received.dialect {
        Dialect::OpenAi => assert_eq!(received.body["response_format"], format),
        Dialect::Gemini => {
            let config = &received.body["generationConfig"];
            assert_eq!(config["responseMimeType"], "application/json");
            assert_eq!(config["responseJsonSchema"], schema);
        }
    }
    fixture.assert_no_refusals();
}

async fn tools_and_tool_choice_are_passed_on(model: &str) {
    let fixture = fixture(model).await;
    fixture
        .llm
        .queue_replies("turn=0", [ScriptedReply::tool_call("g", json!({ "x": 7 }))]);
    let mut request = job(&json!("turn=0"));
    request["tool_choice"] = json!({ "type": "function", "function": { "name": "g" } });
    request["instructions"] = json!("be brief");
    request["max_output_tokens"] = json!(77);
    request["stop"] = json!(["END"]);
    request["top_p"] = json!(0.5);
    let id = fixture.submit(&request).await;
    let done = fixture.wait(&id).await;
    let call = &done["output"]["tool_calls"][0]["function"];
    assert_eq!(call["name"], "g", "{done}");
    let arguments = call["arguments"].as_str().unwrap_or_default();
    let arguments: Value = serde_json::from_str(arguments).expect("the arguments are JSON");
    assert_eq!(arguments, json!({ "x": 7 }));

    let received = fixture.llm.recorded()[0].request.clone();
    let body = &received.body;
    match received.dialect {
        Dialect::OpenAi => {
            assert_eq!(body["tools"], request["tools"]);
            assert_eq!(body["tool_choice"], request["tool_choice"]);
            assert_eq!(body["max_tokens"], 77);
            assert_eq!(body["stop"], json!(["END"]));
            assert_eq!(body["top_p"], 0.5);
            assert_eq!(body["messages"][0]["content"], "be brief");
        }
        Dialect::Gemini => {
            let declared = &body["tools"][0]["functionDeclarations"];
            assert_eq!(declared[1]["name"], "g", "{body}");
            let config = &body["toolConfig"]["functionCallingConfig"];
            assert_eq!(config["mode"], "ANY", "{body}");
            assert_eq!(config["allowedFunctionNames"], json!(["g"]));
            let generation = &body["generationConfig"];
            assert_eq!(generation["maxOutputTokens"], 77, "{body}");
            assert_eq!(generation["stopSequences"], json!(["END"]));
            assert_eq!(generation["topP"], 0.5);
            assert_eq!(body["systemInstruction"]["parts"][0]["text"], "be brief");
        }
    }
    // The instructions belong to the job and are not kept in the session.
    assert_eq!(fixture.session_turns("s").await[0], "user: turn=0");
    fixture.assert_no_refusals();
}

async fn with_max_turns_of_ten_every_request_of_a_long_session_has_at_most_ten_turns(model: &str) {
    const MAX_TURNS: usize = 10;
    let fixture = fixture(model).await;
    // The model replies to every third message with one or two tool calls.
    fixture.llm.add_rule(|request: &ChatRequest| {
        let last = request.last_user_text();
        let number: u64 = last.strip_prefix("turn=")?.parse().ok()?;
        let newest = request.messages().last().cloned()?;
        let is_reply_to_message = newest.role == "user" && newest.text == last;
        let call = |index: u64| ScriptedCall::new("f", json!({ "x": number, "i": index }));
        let calls = (0..=number % 2).map(call).collect();
        (is_reply_to_message && number % 3 == 2).then_some(ScriptedReply::ToolCalls(calls))
    });
    let with_max_turns = |input: &Value| {
        let mut job = job(input);
        job["context"] = json!({ "max_turns": MAX_TURNS });
        job
    };
    let mut dropped = 0;
    for turn in 0..60 {
        let mut id = fixture
            .submit(&with_max_turns(&json!(format!("turn={turn}"))))
            .await;
        if turn % 3 == 2 {
            let calls = tool_call_ids(&fixture, &id).await;
            let results: Value = calls.iter().map(|call| tool_result(call, "done")).collect();
            id = fixture.submit(&with_max_turns(&results)).await;
        }
        let job = fixture.wait(&id).await;
        assert_eq!(job["status"], "completed", "turn {turn}: {job}");
        let sent = job["turns_sent"]
            .as_u64()
            .expect("the job has the number of turns");
        assert!(sent as usize <= MAX_TURNS, "turn {turn}: {job}");
        dropped = job["turns_dropped"]
            .as_u64()
            .expect("the job has the number of turns");
    }
    fixture.assert_no_refusals();
    assert!(
        dropped > 100,
        "only {dropped} turns were left out of the last request"
    );
    for record in fixture.llm.recorded() {
        let count = record.request.messages().len();
        assert!(
            count <= MAX_TURNS,
            "{count} messages in the request {}",
            record.request.body
        );
    }
}
