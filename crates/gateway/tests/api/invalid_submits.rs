//! Submits with one invalid field each.

use serde_json::{Map, Value, json};

/// Submits with one invalid field each, and the name of that field, which the response must contain.
pub(crate) fn invalid_submits() -> Vec<(Value, &'static str)> {
    let job_with = |name: &str, value: Value| {
        let mut body = Map::from_iter([
            (String::from("input"), json!("Hi.")),
            (String::from("session_id"), json!("s")),
        ]);
        body.insert(name.to_owned(), value);
        Value::Object(body)
    };
    let input = |value: Value| job_with("input", value);
    let message =
        |value: Value| job_with("input", json!([{"role": "user", "content": "Hi."}, value]));
    let part = |value: Value| message(json!({"role": "user", "content": [value]}));
    let call = |value: Value| message(json!({"role": "assistant", "tool_calls": [value]}));
    let tool = |value: Value| job_with("tools", json!([{"type": "function", "function": value}]));
    let repeated = |times: usize, value: Value| Value::Array(vec![value; times]);
    let metadata = |keys: usize| {
        Value::Object(
            (0..keys)
                .map(|key| (format!("k{key}"), json!("v")))
                .collect(),
        )
    };
    let long_text = |chars: usize| json!("é".repeat(chars));
    let deeply_nested = (0..70).fold(json!({}), |value, _| json!({"x": value}));
    let image = |url: &str| part(json!({"type": "image_url", "image_url": {"url": url}}));

    vec![
        (json!([]), "body"),
        (json!("Hi."), "body"),
        (json!(null), "body"),
        (json!({}), "input"),
        (job_with("unknown", json!(1)), "unknown"),
        (job_with("stream", json!(null)), "stream"),
        // input
        (input(json!(null)), "input"),
        (input(json!("")), "input"),
        (input(json!(1)), "input"),
        (input(json!([])), "input"),
        (
            input(repeated(201, json!({"role": "user", "content": "x"}))),
            "input",
        ),
        (message(json!("x")), "input[1]"),
        (message(json!({"content": "x"})), "input[1].role"),
        (
            message(json!({"role": "robot", "content": "x"})),
            "input[1].role",
        ),
        (message(json!({"role": "user"})), "input[1].content"),
        (
            message(json!({"role": "user", "content": ""})),
            "input[1].content",
        ),
        (
            message(json!({"role": "user", "content": 1})),
            "input[1].content",
        ),
        (
            message(json!({"role": "user", "content": []})),
            "input[1].content",
        ),
        (
            message(json!({"role": "user", "content": "x", "y": 1})),
            "input[1].y",
        ),
        (
            message(json!({"role": "user", "content": "x", "name": ""})),
            "input[1].name",
        ),
        (
            message(json!({"role": "user", "content": "x", "tool_call_id": "1"})),
            "input[1].tool_call_id",
        ),
        (
            message(json!({"role": "user", "content": "x", "tool_calls": []})),
            "input[1].tool_calls",
        ),
        (
            message(json!({"role": "user", "content": "x", "extra_content": deeply_nested})),
            "input[1].extra_content",
        ),
        (
            message(json!({"role": "tool", "content": "x"})),
            "input[1].tool_call_id",
        ),
        (
            message(json!({"role": "tool", "tool_call_id": "1"})),
            "input[1].content",
        ),
        (message(json!({"role": "assistant"})), "input[1].content"),
        (
            message(json!({"role": "assistant", "content": ""})),
            "input[1].content",
        ),
        (
            message(json!({"role": "assistant", "tool_calls": []})),
            "input[1].tool_calls",
        ),
        (part(json!("x")), "input[1].content[0]"),
        (part(json!({"text": "x"})), "input[1].content[0].type"),
        (part(json!({"type": "audio"})), "input[1].content[0].type"),
        (
            part(json!({"type": "text", "text": ""})),
            "input[1].content[0].text",
        ),
        (
            part(json!({"type": "text", "text": "x", "url": "y"})),
            "input[1].content[0].url",
        ),
        (
            part(json!({"type": "image_url"})),
            "input[1].content[0].image_url",
        ),
        (
            part(json!({"type": "image_url", "image_url": {}})),
            "input[1].content[0].image_url.url",
        ),
        (
            image("http://example.com/a.png"),
            "input[1].content[0].image_url.url",
        ),
        (
            image("file:///etc/passwd"),
            "input[1].content[0].image_url.url",
        ),
        (
            image("data:text/html;base64,AAAA"),
            "input[1].content[0].image_url.url",
        ),
        (
            part(
                json!({"type": "image_url", "image_url": {"url": "https://x.example", "detail": "x"}}),
            ),
            "input[1].content[0].image_url.detail",
        ),
        (
            call(json!({"function": {"name": "f", "arguments": ""}})),
            "input[1].tool_calls[0].id",
        ),
        (call(json!({"id": "1"})), "input[1].tool_calls[0].function"),
        (
            call(json!({"id": "1", "type": "x", "function": {"name": "f", "arguments": ""}})),
            "input[1].tool_calls[0].type",
        ),
        (
            call(json!({"id": "1", "function": {"name": "f", "arguments": {}}})),
            "input[1].tool_calls[0].function.arguments",
        ),
        (
            input(
                json!([{"role": "tool", "tool_call_id": "1", "content": "x"}, {"role": "user", "content": "x"}]),
            ),
            "input[1].role",
        ),
        (
            json!({"input": [{"role": "tool", "tool_call_id": "1", "content": "x"}]}),
            "session_id",
        ),
        // session_id, model, instructions, priority, if_busy
        (job_with("session_id", json!("")), "session_id"),
        (job_with("session_id", json!(7)), "session_id"),
        (job_with("session_id", json!(".")), "session_id"),
        (job_with("session_id", json!("..")), "session_id"),
        (job_with("session_id", json!("a\u{85}b")), "session_id"),
        (job_with("session_id", json!("a\u{0}b")), "session_id"),
        (job_with("session_id", json!("x".repeat(201))), "session_id"),
        (job_with("model", json!("")), "model"),
        (job_with("model", json!(7)), "model"),
        (job_with("model", json!("a\nb")), "model"),
        (job_with("model", json!("x".repeat(201))), "model"),
        (job_with("instructions", json!("")), "instructions"),
        (job_with("instructions", json!(["x"])), "instructions"),
        (job_with("priority", json!("urgent")), "priority"),
        (job_with("if_busy", json!("wait")), "if_busy"),
        (json!({"input": "Hi.", "if_busy": "reject"}), "if_busy"),
        // numbers
        (job_with("temperature", json!(-0.1)), "temperature"),
        (job_with("temperature", json!(2.1)), "temperature"),
        (job_with("temperature", json!("1")), "temperature"),
        (job_with("top_p", json!(0)), "top_p"),
        (job_with("top_p", json!(1.01)), "top_p"),
        (job_with("max_output_tokens", json!(0)), "max_output_tokens"),
        (
            job_with("max_output_tokens", json!(1_000_001)),
            "max_output_tokens",
        ),
        (
            job_with("max_output_tokens", json!(1.5)),
            "max_output_tokens",
        ),
        (
            job_with("max_output_tokens", json!(u64::MAX)),
            "max_output_tokens",
        ),
        (job_with("tool_wait_s", json!(-1)), "tool_wait_s"),
        (job_with("tool_wait_s", json!(3_601)), "tool_wait_s"),
        (job_with("expires_in_s", json!(0)), "expires_in_s"),
        (job_with("expires_in_s", json!(604_801)), "expires_in_s"),
        (job_with("context", json!(3)), "context"),
        (
            job_with("context", json!({"max_turns": 0})),
            "context.max_turns",
        ),
        (
            job_with("context", json!({"max_input_tokens": 0})),
            "context.max_input_tokens",
        ),
        (job_with("context", json!({"turns": 1})), "context.turns"),
        // stop, reasoning_effort, response_format, tools, tool_choice
        (job_with("stop", json!("")), "stop"),
        (job_with("stop", json!([])), "stop"),
        (job_with("stop", json!(["a", ""])), "stop[1]"),
        (job_with("stop", repeated(5, json!("x"))), "stop"),
        (
            job_with("reasoning_effort", json!("huge")),
            "reasoning_effort",
        ),
        (
            job_with("response_format", json!("text")),
            "response_format",
        ),
        (
            job_with("response_format", json!({"type": "xml"})),
            "response_format.type",
        ),
        (
            job_with("response_format", json!({"type": "text", "x": 1})),
            "response_format.x",
        ),
        (
            job_with("response_format", json!({"type": "json_schema"})),
            "response_format.json_schema",
        ),
        (
            job_with(
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "x"}}),
            ),
            "response_format.json_schema.schema",
        ),
        (
            job_with(
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}),
            ),
            "response_format.json_schema.name",
        ),
        (job_with("tools", json!({})), "tools"),
        (job_with("tools", repeated(129, json!({}))), "tools"),
        (job_with("tools", json!([{"type": "web"}])), "tools[0].type"),
        (tool(json!({})), "tools[0].function.name"),
        (tool(json!({"name": "a b"})), "tools[0].function.name"),
        (
            tool(json!({"name": "f", "parameters": []})),
            "tools[0].function.parameters",
        ),
        (
            tool(json!({"name": "f", "parameters": deeply_nested})),
            "tools[0].function.parameters",
        ),
        (
            tool(json!({"name": "f", "strict": 1})),
            "tools[0].function.strict",
        ),
        (job_with("tool_choice", json!("always")), "tool_choice"),
        (job_with("tool_choice", json!("required")), "tool_choice"),
        (
            job_with(
                "tool_choice",
                json!({"type": "function", "function": {"name": "f"}}),
            ),
            "tool_choice.function.name",
        ),
        // unknown fields at every level
        (
            part(json!({"type": "image_url", "image_url": {"url": "https://x.example"}, "x": 1})),
            "input[1].content[0].x",
        ),
        (
            part(json!({"type": "image_url", "image_url": {"url": "https://x.example", "x": 1}})),
            "input[1].content[0].image_url.x",
        ),
        (
            call(json!({"id": "1", "function": {"name": "f", "arguments": ""}, "x": 1})),
            "input[1].tool_calls[0].x",
        ),
        (
            call(json!({"id": "1", "function": {"name": "f", "arguments": "", "x": 1}})),
            "input[1].tool_calls[0].function.x",
        ),
        (
            job_with(
                "tools",
                json!([{"type": "function", "function": {"name": "f"}, "x": 1}]),
            ),
            "tools[0].x",
        ),
        (tool(json!({"name": "f", "x": 1})), "tools[0].function.x"),
        (
            job_with(
                "tool_choice",
                json!({"type": "function", "function": {"name": "f"}, "x": 1}),
            ),
            "tool_choice.x",
        ),
        (
            job_with(
                "tool_choice",
                json!({"type": "function", "function": {"name": "f", "x": 1}}),
            ),
            "tool_choice.function.x",
        ),
        (
            job_with("response_format", json!({"type": "json_object", "x": 1})),
            "response_format.x",
        ),
        (
            job_with(
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {}}, "x": 1}),
            ),
            "response_format.x",
        ),
        (
            job_with(
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "x": 1}}),
            ),
            "response_format.json_schema.x",
        ),
        // metadata, extra_body
        (job_with("metadata", json!([])), "metadata"),
        (job_with("metadata", metadata(17)), "metadata"),
        (job_with("metadata", json!({"k": 1})), "metadata.k"),
        (
            job_with("metadata", json!({"k": long_text(513)})),
            "metadata.k",
        ),
        (job_with("metadata", json!({"": "v"})), "metadata."),
        (job_with("extra_body", json!([])), "extra_body"),
        (
            job_with("extra_body", json!({"messages": []})),
            "extra_body.messages",
        ),
        (
            job_with("extra_body", json!({"contents": []})),
            "extra_body.contents",
        ),
        (
            job_with("extra_body", json!({"model": "x"})),
            "extra_body.model",
        ),
        (
            job_with("extra_body", json!({"stream": true})),
            "extra_body.stream",
        ),
        (job_with("extra_body", deeply_nested.clone()), "extra_body"),
    ]
}
