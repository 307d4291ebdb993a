//! Reads the tool calls of a message.

use forebay_shared::{
    document::UnknownFields,
    turn::{FunctionCall, ToolCall, ToolKind},
};
use serde_json::{Value, json};

use crate::provider::{Failure, Retry, json_body};

/// Reads `tool_calls`, or the older `function_call` of a message without tool calls. `generate_id` makes an id for a
/// call that has none. Its argument is the index of the call.
///
/// # Errors
/// `invalid_response` for a call without the name of a function.
pub(super) fn read(
    tool_calls: Option<Value>,
    function_call: Option<Value>,
    generate_id: impl Fn(usize) -> String,
) -> Result<Vec<ToolCall>, Failure> {
    let mut calls = match tool_calls {
        Some(Value::Array(calls)) => calls,
        Some(call) => vec![call],
        None => Vec::new(),
    };
    calls.retain(is_object_with_fields);
    if calls.is_empty() {
        let function = function_call.filter(is_object_with_fields);
        calls.extend(function.map(|function| json!({"function": function})));
    }
    let calls = calls.into_iter().enumerate();
    calls
        .map(|(index, call)| read_call(call, || generate_id(index)))
        .collect()
}

fn is_object_with_fields(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| !fields.is_empty())
}

fn read_call(mut call: Value, generate_id: impl Fn() -> String) -> Result<ToolCall, Failure> {
    let id = json_body::text(&call["id"]).filter(|id| !id.is_empty());
    let function = &mut call["function"];
    let name = function.get("name").and_then(json_body::text);
    let name = name.ok_or_else(|| {
        Failure::new(
            "invalid_response",
            "the provider's answer calls a tool without a name",
            Retry::Backoff,
        )
    })?;
    let arguments = match function.get_mut("arguments").map(Value::take) {
        Some(Value::String(text)) => text,
        // Some services return an object instead of a text that holds JSON.
        Some(Value::Null) | None => String::from("{}"),
        Some(value) => value.to_string(),
    };
    Ok(ToolCall {
        id: id.unwrap_or_else(generate_id),
        kind: ToolKind::Function,
        function: FunctionCall {
            name,
            arguments,
            unknown: UnknownFields::NONE,
        },
        extra_content: call
            .get_mut("extra_content")
            .map(Value::take)
            .filter(|extra| !extra.is_null()),
        unknown: UnknownFields::NONE,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::read;

    /// The ids and the names of the calls.
    fn calls(tool_calls: Value, function_call: Value) -> Option<Vec<(String, String)>> {
        let calls = read(Some(tool_calls), Some(function_call), |index| {
            format!("generated {index}")
        });
        let calls = calls.ok()?.into_iter();
        Some(calls.map(|call| (call.id, call.function.name)).collect())
    }

    #[test]
    fn ids_and_names_of_other_types_are_read() {
        let function = json!({"name": "f", "arguments": "{}"});
        for (call, id) in [
            (json!({"id": 7, "function": function}), "7"),
            (json!({"id": 7.5, "function": function}), "7.5"),
            (json!({"id": "c", "function": function}), "c"),
            (json!({"id": true, "function": function}), "generated 0"),
            (json!({"id": {}, "function": function}), "generated 0"),
            (json!({"id": null, "function": function}), "generated 0"),
            (json!({"function": function}), "generated 0"),
        ] {
            let expected = vec![(id.to_owned(), "f".to_owned())];
            assert_eq!(
                calls(json!([call]), Value::Null),
                Some(expected.clone()),
                "{call}"
            );
            assert_eq!(calls(call, Value::Null), Some(expected), "not in a list");
        }
        let number = json!([{"id": "c", "function": {"name": 5}}]);
        assert_eq!(
            calls(number, Value::Null),
            Some(vec![("c".to_owned(), "5".to_owned())])
        );
    }

    #[test]
    fn the_older_form_is_read_without_tool_calls() {
        let older = json!({"name": "f", "arguments": "{}"});
        for none in [json!(null), json!([]), json!([null]), json!("")] {
            let expected = vec![("generated 0".to_owned(), "f".to_owned())];
            assert_eq!(calls(none, older.clone()), Some(expected));
        }
    }

    #[test]
    fn a_call_without_a_name_is_an_error() {
        for call in [
            json!({"id": "c"}),
            json!({"id": "c", "function": "f"}),
            json!({"id": "c", "function": {"arguments": "{}"}}),
            json!({"id": "c", "function": {"name": null}}),
        ] {
            assert_eq!(calls(json!([call]), Value::Null), None, "{call}");
        }
    }
}
