//! Values that a schema accepts, and bodies around them.

use serde_json::{Map, Value, json};

/// Texts. Each pattern of the schemas matches one of them.
const TEXTS: [&str; 3] = ["x", "https://x.example/a.png", "data:image/png;base64,AAAA"];

/// A short value that the schema accepts.
pub(super) fn sample(schema: &Value) -> Value {
    for branch in ["oneOf", "anyOf"] {
        // A schema that also has a type has further keywords.
        if let Some(first) = schema[branch].get(0)
            && schema.get("type").is_none()
        {
            return sample(first);
        }
    }
    if let Some(word) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return word.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str(),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => text(schema),
        Some("integer" | "number") => schema.get("maximum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => match schema["minItems"].as_u64() {
            Some(1..) => json!([sample(&schema["items"])]),
            _ => json!([]),
        },
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten();
            let names = required.filter_map(Value::as_str);
            let fields = names.map(|name| (name.to_owned(), sample(&schema["properties"][name])));
            Value::Object(fields.collect())
        }
        Some("null") => Value::Null,
        _ if schema.get("pattern").is_some() => text(schema),
        _ => json!({"any": 1}),
    }
}

fn text(schema: &Value) -> Value {
    let mut wanted = schema.clone();
    if let Some(fields) = wanted.as_object_mut() {
        fields.remove("x-allowed");
    }
    let validator = jsonschema::draft202012::new(&wanted).expect("the schema is valid");
    let fitting = TEXTS
        .iter()
        .map(|text| json!(text))
        .find(|text| validator.is_valid(text));
    fitting.unwrap_or_else(|| panic!("no text fits {schema}"))
}

/// A value of each type that the schema does not accept.
pub(super) fn refused_types(schema: &Value) -> Vec<Value> {
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => Vec::from_iter(kind.as_str()),
    };
    if kinds.is_empty() {
        return Vec::new();
    }
    let values = [
        ("null", json!(null)),
        ("boolean", json!(true)),
        ("number", json!(0.5)),
        ("string", json!("x")),
        ("array", json!([])),
        ("object", json!({})),
    ];
    let refused = values.into_iter().filter(|(kind, _)| !kinds.contains(kind));
    refused.map(|(_, value)| value).collect()
}

/// The body, completed with the fields that rules outside of the schema require. So only the tested bound decides.
pub(super) fn submit_with(mut body: Value, index: usize) -> Value {
    let Some(fields) = body.as_object_mut() else {
        return body;
    };
    // Each submit has a session of its own, because a session accepts a limited number of jobs.
    fields
        .entry("session_id")
        .or_insert_with(|| json!(format!("s{index}")));
    // `input` may be absent only with `replace_from_turn`.
    fields.entry("input").or_insert_with(|| json!("x"));
    let messages = fields.get_mut("input").and_then(Value::as_array_mut);
    for message in messages
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        complete_message(message);
    }
    let name = fields
        .get("tool_choice")
        .map(|choice| choice["function"]["name"].clone());
    let name = name.filter(Value::is_string).unwrap_or(json!("f"));
    let tool = json!([{"type": "function", "function": {"name": name}}]);
    fields.entry("tools").or_insert(tool);
    name_tools(fields.get_mut("tools"));
    body
}

/// The body of a session, completed with the fields that rules outside of the schema require.
pub(super) fn session_with(mut body: Value) -> Value {
    let turns = body.get_mut("turns").and_then(Value::as_array_mut);
    for turn in turns.into_iter().flatten().filter_map(Value::as_object_mut) {
        complete_message(turn);
    }
    name_tools(body.pointer_mut("/defaults/tools"));
    body
}

/// Gives each further tool a name of its own, because the names must differ.
fn name_tools(tools: Option<&mut Value>) {
    let tools = tools.and_then(Value::as_array_mut);
    for (n, tool) in tools.into_iter().flatten().enumerate().skip(1) {
        if let Some(name) = tool.pointer_mut("/function/name") {
            *name = json!(format!("f{n}"));
        }
    }
}

fn complete_message(message: &mut Map<String, Value>) {
    let given = |name: &str| message.get(name).is_some_and(|value| !value.is_null());
    let role = if given("tool_calls") {
        Some("assistant")
    } else if given("tool_call_id") {
        Some("tool")
    } else {
        None
    };
    if let Some(role) = role
        && message.contains_key("role")
    {
        message.insert(String::from("role"), json!(role));
    }
    if message.get("role") == Some(&json!("tool")) {
        message.entry("tool_call_id").or_insert(json!("1"));
    }
    message.entry("content").or_insert(json!("x"));
}
