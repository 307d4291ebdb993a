//! Reads the arguments of a tool call. A model writes them, so they may be no JSON object.

use serde_json::{Map, Value};

/// The arguments as an object; `None` if they cannot be read as one.
///
/// An empty text and `null` are an empty object: some services return them for a tool without parameters. A JSON
/// string that contains an object is read as that object: some models encode their arguments twice.
pub(super) fn object(arguments: &str) -> Option<Map<String, Value>> {
    if arguments.trim().is_empty() {
        return Some(Map::new());
    }
    match serde_json::from_str(arguments).ok()? {
        Value::Object(object) => Some(object),
        Value::String(encoded) => serde_json::from_str(&encoded).ok(),
        Value::Null => Some(Map::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::object;

    #[test]
    fn arguments_in_other_forms_are_read_as_an_object() {
        for (arguments, expected) in [
            (r#"{"a": 1}"#, Some(json!({"a": 1}))),
            ("", Some(json!({}))),
            (" \n", Some(json!({}))),
            ("null", Some(json!({}))),
            (r#""{\"a\": 1}""#, Some(json!({"a": 1}))),
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
