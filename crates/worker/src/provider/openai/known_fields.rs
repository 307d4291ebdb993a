//! Removes the fields that this release does not know from a request. A newer release may have added such a field for
//! Forebay's own use, and a provider would refuse it. An element of an unknown kind, such as a new kind of part or tool, is
//! sent unchanged, because none of its fields is known.

use forebay_shared::{
    document::UnknownFields,
    job::{ResponseFormat, Tool, ToolChoice},
    turn::{Content, Part, ToolKind, Turn},
};
use serde_json::Value;

/// Removes the unknown fields from the message of a turn.
pub(super) fn remove_unknown_in_message(turn: &Turn, message: &mut Value) {
    remove(&turn.unknown, Some(message));
    for (index, call) in turn.tool_calls.iter().enumerate() {
        if call.kind == ToolKind::Function {
            let path = format!("/tool_calls/{index}");
            remove(&call.unknown, message.pointer_mut(&path));
            let function = message.pointer_mut(&format!("{path}/function"));
            remove(&call.function.unknown, function);
        }
    }
    let Some(Content::Parts(parts)) = &turn.content else {
        return;
    };
    for (index, part) in parts.iter().enumerate() {
        let path = format!("/content/{index}");
        match part {
            Part::Text { unknown, .. } => remove(unknown, message.pointer_mut(&path)),
            Part::ImageUrl { image_url, unknown } => {
                remove(unknown, message.pointer_mut(&path));
                let image = message.pointer_mut(&format!("{path}/image_url"));
                remove(&image_url.unknown, image);
            }
            Part::Unknown(_) => {}
        }
    }
}

/// Removes the unknown fields from `tools`.
pub(super) fn remove_unknown_in_tools(tools: &[Tool], list: &mut Value) {
    for (index, tool) in tools.iter().enumerate() {
        if tool.kind == ToolKind::Function {
            remove(&tool.unknown, list.get_mut(index));
            let function = list.pointer_mut(&format!("/{index}/function"));
            remove(&tool.function.unknown, function);
        }
    }
}

/// Removes the unknown fields from `tool_choice`.
pub(super) fn remove_unknown_in_tool_choice(choice: &ToolChoice, value: &mut Value) {
    if let ToolChoice::Function {
        function, unknown, ..
    } = choice
    {
        remove(unknown, Some(value));
        remove(&function.unknown, value.get_mut("function"));
    }
}

/// Removes the unknown fields from `response_format`.
pub(super) fn remove_unknown_in_response_format(format: &ResponseFormat, value: &mut Value) {
    match format {
        ResponseFormat::Text { unknown } | ResponseFormat::JsonObject { unknown } => {
            remove(unknown, Some(value));
        }
        ResponseFormat::JsonSchema {
            json_schema,
            unknown,
        } => {
            remove(unknown, Some(value));
            remove(&json_schema.unknown, value.get_mut("json_schema"));
        }
        ResponseFormat::Unknown(_) => {}
    }
}

fn remove(unknown: &UnknownFields, object: Option<&mut Value>) {
    let Some(fields) = object.and_then(Value::as_object_mut) else {
        return;
    };
    for name in unknown.names() {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_removed_and_unknown_kinds_stay() {
        let turn: Turn = serde_json::from_value(json!({
            "role": "assistant", "new": 1,
            "content": [
                {"type": "text", "text": "a", "new": 1},
                {"type": "image_url", "image_url": {"url": "b", "new": 1}, "new": 1},
                {"type": "audio", "audio": {"data": "c"}},
            ],
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}", "new": 1}, "new": 1},
                {"id": "2", "type": "custom", "custom": {"name": "g"}},
            ],
        }))
        .expect("a turn");
        let mut message = serde_json::to_value(&turn).expect("JSON");
        remove_unknown_in_message(&turn, &mut message);
        let expected = json!({
            "role": "assistant",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "b"}},
                {"type": "audio", "audio": {"data": "c"}},
            ],
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": "custom", "custom": {"name": "g"}},
            ],
        });
        assert_eq!(message, expected);

        let tools = json!([
            {"type": "function", "function": {"name": "f", "new": 1}, "new": 1},
            {"type": "search", "search": {"depth": 2}},
        ]);
        let tools: Vec<Tool> = serde_json::from_value(tools).expect("tools");
        let mut list = serde_json::to_value(&tools).expect("JSON");
        remove_unknown_in_tools(&tools, &mut list);
        let expected = json!([
            {"type": "function", "function": {"name": "f"}},
            {"type": "search", "search": {"depth": 2}},
        ]);
        assert_eq!(list, expected);
    }

    #[test]
    fn unknown_fields_of_choices_and_formats_are_removed() {
        let choice = json!({"type": "function", "function": {"name": "f", "new": 1}, "new": 1});
        let choice: ToolChoice = serde_json::from_value(choice).expect("a choice");
        let mut value = serde_json::to_value(&choice).expect("JSON");
        remove_unknown_in_tool_choice(&choice, &mut value);
        assert_eq!(
            value,
            json!({"type": "function", "function": {"name": "f"}})
        );

        for (format, expected) in [
            (json!({"type": "text", "new": 1}), json!({"type": "text"})),
            (
                json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "new": 1}, "new": 1}),
                json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}),
            ),
            (
                json!({"type": "grammar", "x": 1}),
                json!({"type": "grammar", "x": 1}),
            ),
        ] {
            let format: ResponseFormat = serde_json::from_value(format).expect("a format");
            let mut value = serde_json::to_value(&format).expect("JSON");
            remove_unknown_in_response_format(&format, &mut value);
            assert_eq!(value, expected);
        }
    }
}
