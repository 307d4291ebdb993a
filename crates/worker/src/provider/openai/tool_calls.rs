//! Reads the tool calls of a message.

use forebay_shared::turn::ToolCall;
use serde_json::{Value, json};

use crate::provider::{
    Failure, json_body,
    returned_call::{self, ReturnedCall},
};

/// Reads `tool_calls`, or the older `function_call` of a message without tool calls.
///
/// `generate_id` returns the id of a call that has none. Its argument is the index of the call.
///
/// # Errors
/// `invalid_response` for a message without text whose calls have no names.
pub(super) fn read(
    message: &mut Value,
    has_text: bool,
    generate_id: impl Fn(usize) -> String,
) -> Result<Vec<ToolCall>, Failure> {
    let mut calls = json_body::elements(json_body::take(message, "tool_calls"));
    calls.retain(json_body::is_object_with_fields);
    if calls.is_empty() {
        let function = json_body::take(message, "function_call");
        if json_body::is_object_with_fields(&function) {
            calls.push(json!({"function": function}));
        }
    }
    let returned = calls.into_iter().map(returned_call).collect();
    returned_call::complete(returned, has_text, generate_id)
}

fn returned_call(mut call: Value) -> ReturnedCall {
    let mut function = json_body::take(&mut call, "function");
    let extra_content = json_body::take(&mut call, "extra_content");
    ReturnedCall {
        id: json_body::text(&call["id"]),
        name: json_body::text(&function["name"]),
        arguments: match json_body::take(&mut function, "arguments") {
            Value::String(text) => text,
            Value::Null => String::from("{}"),
            // Some services return an object instead of a text that holds JSON.
            value => value.to_string(),
        },
        extra_content: (!extra_content.is_null()).then_some(extra_content),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::read;

    /// The ids and the names of the calls.
    fn calls(tool_calls: Value, function_call: Value) -> Option<Vec<(String, String)>> {
        let mut message =
            Value::from_iter([("tool_calls", tool_calls), ("function_call", function_call)]);
        let has_text = false;
        let calls = read(&mut message, has_text, |index| format!("generated {index}"));
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
    fn function_call_is_read_if_there_are_no_tool_calls() {
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
