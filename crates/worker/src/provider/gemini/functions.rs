//! Maps tool calls and their results to parts in Gemini's form.
//!
//! The results of one reply's calls are in one content, in the order of the calls. Gemini requires one result for each call,
//! and matches results without ids to the calls by their order.

use forebay_shared::turn::{Content, Part, ToolCall, ToolKind, Turn};
use serde_json::{Value, json};

use super::{signature, unsupported::unsupported};
use crate::provider::{Failure, Retry, tool_arguments, tool_call_id, tool_name};

/// At any level of a result, Gemini reads this key as a reference to other data of the request.
const REFERENCE_KEY: &str = "$ref";

/// The parts of a reply's tool calls.
///
/// # Errors
/// `unsupported_parameter` for a tool call that does not call a function.
pub(super) fn calls(turn: &Turn) -> Result<Vec<Value>, Failure> {
    let is_function = |call: &ToolCall| call.kind == ToolKind::Function;
    if !turn.tool_calls.iter().all(is_function) {
        return Err(unsupported("a tool call does not call a function"));
    }
    let parts = turn.tool_calls.iter().map(|call| {
        let mut function = json!({"name": name(call), "args": arguments(call)});
        if !tool_call_id::is_generated(&call.id) {
            function["id"] = call.id.as_str().into();
        }
        let signature = signature::in_extra_content(call.extra_content.as_ref());
        signature::added_to_part(json!({"functionCall": function}), signature)
    });
    Ok(parts.collect())
}

/// The name of the called function, in a form that Gemini accepts: it begins with a letter or `_`, and may contain `.` and `:`.
fn name(call: &ToolCall) -> String {
    const OTHER_CHARS: &str = ".:";
    let name = tool_name::to_allowed(&call.function.name, OTHER_CHARS);
    if name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        name
    } else {
        tool_name::to_allowed(&format!("_{name}"), OTHER_CHARS)
    }
}

/// The arguments as an object, which Gemini requires. Arguments that are not an object are wrapped in one. Otherwise Gemini
/// would refuse every later call of the session.
fn arguments(call: &ToolCall) -> Value {
    match tool_arguments::object(&call.function.arguments) {
        Some(arguments) => Value::Object(arguments),
        None => json!({"arguments": call.function.arguments}),
    }
}

/// The parts of the tool results that follow the turns `before`, in the order of their calls.
///
/// # Errors
/// `invalid_request` for a result of an unknown call, `unsupported_parameter` for a result that is not text.
pub(super) fn results(before: &[Turn], results: &[Turn]) -> Result<Vec<Value>, Failure> {
    let calls = before.iter().rev().flat_map(|turn| &turn.tool_calls);
    let mut ordered: Vec<(usize, Value)> = Vec::with_capacity(results.len());
    for result in results {
        let id = result.tool_call_id.as_deref().unwrap_or("");
        let Some(call) = calls.clone().find(|call| call.id == id) else {
            return Err(Failure::new(
                "invalid_request",
                "a tool result belongs to a call that is not in the conversation",
                Retry::Never,
            ));
        };
        let mut response = json!({"name": name(call), "response": output(result)?});
        if !tool_call_id::is_generated(id) {
            response["id"] = id.into();
        }
        let order = before
            .last()
            .and_then(|turn| turn.tool_calls.iter().position(|call| call.id == id));
        ordered.push((
            order.unwrap_or(usize::MAX),
            json!({"functionResponse": response}),
        ));
    }
    ordered.sort_by_key(|(order, _)| *order);
    Ok(ordered.into_iter().map(|(_, part)| part).collect())
}

/// A tool's result as an object, which Gemini requires. A result that is not an object is wrapped in one. A result with the
/// key `$ref` is wrapped as a text, because Gemini refuses a request with a reference that it cannot resolve.
fn output(turn: &Turn) -> Result<Value, Failure> {
    let content = match &turn.content {
        None => String::new(),
        Some(Content::Parts(parts))
            if parts.iter().any(|part| !matches!(part, Part::Text { .. })) =>
        {
            return Err(unsupported("a tool result has a part that is not text"));
        }
        Some(content) => content.to_text(),
    };
    Ok(match serde_json::from_str(&content) {
        Ok(output) if has_reference(&output) => json!({"output": content}),
        Ok(Value::Object(output)) => Value::Object(output),
        Ok(output) => json!({"output": output}),
        Err(_) => json!({"output": content}),
    })
}

fn has_reference(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.contains_key(REFERENCE_KEY) || fields.values().any(has_reference)
        }
        Value::Array(elements) => elements.iter().any(has_reference),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::turn::{Role, Turn};
    use serde_json::{Value, json};

    use super::{calls, output, results};

    fn reply(name: &str, arguments: &str) -> Turn {
        let call = json!({"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}});
        serde_json::from_value(json!({"role": "assistant", "tool_calls": [call]})).expect("a turn")
    }

    #[test]
    fn call_and_result_have_the_same_allowed_name() {
        for (name, expected) in [
            ("browser.tabs:open", "browser.tabs:open"),
            ("look up!", "look_up_"),
            ("2nd", "_2nd"),
            ("", "_"),
        ] {
            let reply = reply(name, "{}");
            let result = Turn {
                tool_call_id: Some(String::from("1")),
                ..Turn::text(Role::Tool, "42")
            };
            let call = &calls(&reply).expect("parts")[0]["functionCall"];
            let response = &results(&[reply], &[result]).expect("parts")[0]["functionResponse"];
            assert_eq!(call["name"], expected);
            assert_eq!(response["name"], expected);
        }
    }

    #[test]
    fn arguments_are_an_object() {
        for (written, sent) in [
            ("null", json!({})),
            (r#""{\"a\":1}""#, json!({"a": 1})),
            (r#"{"a": "cut o"#, json!({"arguments": r#"{"a": "cut o"#})),
        ] {
            let parts = calls(&reply("f", written)).expect("parts");
            assert_eq!(parts[0]["functionCall"]["args"], sent);
        }
    }

    #[test]
    fn a_result_with_a_reference_is_sent_as_a_text() {
        for result in [
            r##"{"$ref": "#/$defs/A"}"##,
            r##"{"a": [{"b": {"$ref": 1}}]}"##,
            r##"[{"$ref": "#"}]"##,
        ] {
            let sent = output(&Turn::text(Role::Tool, result)).expect("an output");
            assert_eq!(sent, json!({"output": result}));
        }
        let text = r##"{"a": "$ref", "$refs": 1}"##;
        let sent = output(&Turn::text(Role::Tool, text)).expect("an output");
        assert_eq!(sent, serde_json::from_str::<Value>(text).expect("JSON"));
    }
}
