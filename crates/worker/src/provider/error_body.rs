//! Finds a provider's own message in the body of an error. The body may be JSON of many forms, a text or an HTML page.

use serde_json::Value;

use super::{body_text, json_body};

/// The most items of a list whose messages are shown.
const ITEMS_MAX: usize = 10;

/// The fields that hold a message, or an object or a list with messages.
const MESSAGE_FIELDS: [&str; 11] = [
    "message",
    "msg",
    "detail",
    "error",
    "errors",
    "error_message",
    "error_msg",
    "error_description",
    "title",
    // OpenRouter: the answer of the service that it called.
    "metadata",
    "raw",
];

/// The error in a body.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ErrorBody {
    /// The JSON object with the fields of the error. Null if the body is not JSON.
    pub(super) error: Value,
    /// The provider's own message.
    pub(super) message: Option<String>,
}

/// Reads the body of an answer whose status is not 2xx.
pub(super) fn read(body: &[u8]) -> ErrorBody {
    let Ok(json) = json_body::read(body) else {
        return ErrorBody {
            error: Value::Null,
            message: body_text::start_of_body(json_body::without_byte_order_mark(body)),
        };
    };
    let message = message(&json);
    // Some services wrap the body in an array of one element.
    let body = json.get(0).unwrap_or(&json);
    let error = body.get("error").filter(|error| error.is_object());
    ErrorBody {
        error: error.unwrap_or(body).clone(),
        message,
    }
}

/// Reads an error that is a field of an answer whose status is 2xx.
pub(super) fn of_error(error: &Value) -> ErrorBody {
    ErrorBody {
        message: message(error),
        error: error.clone(),
    }
}

/// Whether the `error` field of a 2xx answer is really an error. Some services send an empty `error` with each reply, or one
/// with a success code (0 or 200).
pub(super) fn is_present(error: &Value) -> bool {
    match error {
        Value::Null => false,
        Value::Bool(is_error) => *is_error,
        Value::Number(code) => ![Some(0.0), Some(200.0)].contains(&code.as_f64()),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => items.iter().any(is_present),
        Value::Object(fields) => fields.values().any(is_present),
    }
}

/// The messages in a JSON value. If there are none, the start of the value as text.
pub(super) fn message(json: &Value) -> Option<String> {
    message_in(json).or_else(|| start_of_json(json))
}

/// The messages in a JSON value. A message is left out if an earlier one contains it.
fn message_in(value: &Value) -> Option<String> {
    let messages: Vec<String> = match value {
        Value::String(text) => vec![text.trim().to_owned()],
        Value::Array(items) => items
            .iter()
            .take(ITEMS_MAX)
            .filter_map(message_in)
            .collect(),
        Value::Object(fields) => MESSAGE_FIELDS
            .iter()
            .filter_map(|name| message_in(fields.get(*name)?))
            .collect(),
        _ => Vec::new(),
    };
    let mut joined = String::new();
    for message in messages {
        if joined.contains(&message) {
            continue;
        }
        if !joined.is_empty() {
            joined.push_str("; ");
        }
        joined.push_str(&message);
    }
    if joined.is_empty() {
        return None;
    }
    Some(match location(&value["loc"]) {
        Some(location) => format!("{location}: {joined}"),
        None => joined,
    })
}

/// The path of the field that an error of `FastAPI` is about, such as `body.messages.0.role`.
fn location(loc: &Value) -> Option<String> {
    let path: Vec<String> = loc.as_array()?.iter().filter_map(json_body::text).collect();
    (!path.is_empty()).then(|| path.join("."))
}

/// The start of a JSON value as text. `None`: the value is empty.
fn start_of_json(json: &Value) -> Option<String> {
    let is_empty = match json {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    if is_empty {
        return None;
    }
    body_text::start_of(&json.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{is_present, read};

    fn message(body: &str) -> Option<String> {
        read(body.as_bytes()).message
    }

    #[test]
    fn an_empty_error_or_a_success_code_is_no_error() {
        for error in [
            json!(null),
            json!(false),
            json!(0),
            json!(0.0),
            json!(200),
            json!(""),
            json!(" "),
            json!([]),
            json!([null]),
            json!({}),
            json!({"code": null, "message": null}),
            json!({"code": 0, "message": ""}),
            json!({"code": 200, "message": "", "details": []}),
        ] {
            assert!(!is_present(&error), "{error}");
        }
        for error in [
            json!(true),
            json!(500),
            json!("no"),
            json!(["no"]),
            json!({"code": 500}),
            json!({"code": 0, "message": "no"}),
            json!({"code": 0, "status": "UNAVAILABLE"}),
        ] {
            assert!(is_present(&error), "{error}");
        }
    }

    #[test]
    fn messages_are_found_in_json_of_many_forms() {
        for (body, expected) in [
            (json!({"error": {"message": "why"}}), "why"),
            (json!([{"error": {"message": "why"}}]), "why"),
            (json!({"error": "why"}), "why"),
            (json!({"message": "why"}), "why"),
            (
                json!({"object": "error", "message": "why", "code": 400}),
                "why",
            ),
            (json!({"detail": "why"}), "why"),
            (json!({"detail": {"error": {"message": "why"}}}), "why"),
            (
                json!({"detail": [{"type": "enum", "loc": ["body", "messages", 0, "role"], "msg": "why", "input": "x"}]}),
                "body.messages.0.role: why",
            ),
            (
                json!({"detail": [{"loc": ["body"], "msg": "one"}, {"msg": "two"}]}),
                "body: one; two",
            ),
            (json!({"errors": [{"message": "why"}]}), "why"),
            (json!({"errors": ["one", "two"]}), "one; two"),
            (
                json!({"success": false, "errors": [{"code": 7, "message": "why"}], "messages": []}),
                "why",
            ),
            (json!({"code": 1211, "msg": "why"}), "why"),
            (json!({"error": true, "message": "why"}), "why"),
            (
                json!({"title": "Bad", "status": 400, "detail": "why"}),
                "why; Bad",
            ),
            (
                json!({"error": "invalid_grant", "error_description": "why"}),
                "invalid_grant; why",
            ),
            (json!({"error": {"message": "m"}, "message": "m"}), "m"),
            (
                json!({"error": {"message": "Provider returned error", "metadata": {"raw": "why"}}}),
                "Provider returned error; why",
            ),
            (json!("why"), "why"),
            (json!({"reason": "why"}), "{\"reason\":\"why\"}"),
        ] {
            assert_eq!(
                message(&body.to_string()).as_deref(),
                Some(expected),
                "{body}"
            );
        }
        for empty in ["", " \n", "{}", "[]", "null", "<html></html>"] {
            assert_eq!(message(empty), None, "{empty}");
        }
    }

    #[test]
    fn the_start_of_a_text_or_a_page_is_the_message() {
        for (body, expected) in [
            ("Invalid model name", "Invalid model name"),
            ("<html><p>Access denied</p></html>", "Access denied"),
            ("\u{feff}{\"message\": \"why\"}", "why"),
            ("\u{feff}<HTML><P>Access denied</P></HTML>", "Access denied"),
            ("\u{feff}Access denied", "Access denied"),
        ] {
            assert_eq!(message(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn the_object_of_the_error_is_found() {
        let object = json!({"message": "why", "code": "c"});
        for body in [
            json!({"error": object}),
            json!([{"error": object}]),
            object.clone(),
        ] {
            assert_eq!(read(body.to_string().as_bytes()).error, object, "{body}");
        }
        let flat = json!({"error": "why", "code": "c"});
        assert_eq!(read(flat.to_string().as_bytes()).error, flat);
        assert_eq!(read(b"no JSON").error, Value::Null);
    }
}
