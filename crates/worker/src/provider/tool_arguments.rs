//! Reads the arguments of a tool call. A model writes them, so they are not always a JSON object.

use serde_json::{Map, Value};

use super::json_repair;

/// The arguments as an object; `None` if they cannot be read as one.
///
/// An empty text and `null` are an empty object: some services return them for a tool without parameters. A JSON
/// string that contains an object is read as that object: some models encode their arguments twice. Small mistakes in the
/// JSON are repaired.
pub(super) fn object(arguments: &str) -> Option<Map<String, Value>> {
    if arguments.trim().is_empty() {
        return Some(Map::new());
    }
    match read(arguments)? {
        Value::Object(object) => Some(object),
        Value::String(encoded) => match read(&encoded)? {
            Value::Object(object) => Some(object),
            _ => None,
        },
        Value::Null => Some(Map::new()),
        _ => None,
    }
}

fn read(json: &str) -> Option<Value> {
    let read = serde_json::from_str(json);
    let repaired = || serde_json::from_str(&json_repair::repaired(json.as_bytes()));
    read.or_else(|_| repaired()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::object;

    #[test]
    fn arguments_in_other_forms_are_read_as_an_object_if_possible() {
        for (arguments, expected) in [
            (r#"{"a": 1}"#, Some(json!({"a": 1}))),
            ("", Some(json!({}))),
            (" \n", Some(json!({}))),
            ("null", Some(json!({}))),
            (r#""{\"a\": 1}""#, Some(json!({"a": 1}))),
            (
                r#"{"a": "x\ud83d", "b": 1}"#,
                Some(json!({"a": "x\u{fffd}", "b": 1})),
            ),
            ("{\"a\": \"x\ny\"}", Some(json!({"a": "x\ny"}))),
            ("\"{\\\"a\\\": \\\"x\ny\\\"}\"", Some(json!({"a": "x\ny"}))),
            (r#"{"a": NaN}"#, Some(json!({"a": null}))),
            (r#"{"a": "cut o"#, None),
            ("[1]", None),
            ("7", None),
            (r#""text""#, None),
        ] {
            assert_eq!(
                object(arguments).map(Value::Object),
                expected,
                "{arguments}"
            );
        }
    }
}
