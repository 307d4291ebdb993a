//! Writes the JSON of requests and reads the JSON of answers.

use serde::{Deserialize, Serialize};
use serde_json::{Deserializer, Value};

use super::{Failure, Retry, body_text, json_repair};

/// The byte order mark, which a reader may ignore (RFC 8259, section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Writes the body of a request.
///
/// # Errors
/// `invalid_request` when the value has no JSON form.
pub(super) fn write(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| unwritable(&error))
}

/// Converts a part of a request into a JSON value.
///
/// # Errors
/// `invalid_request` when the value has no JSON form.
pub(super) fn to_value(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| unwritable(&error))
}

/// Reads the body of an answer. A byte order mark is ignored, and small mistakes of the JSON are repaired ([`json_repair`]).
/// Of several fields with the same name, the last one counts. Objects and lists that are nested deeper than
/// [`json_repair::LEVELS_MAX`] levels are null.
///
/// # Errors
/// `invalid_response` when the body is not JSON.
pub(super) fn read(body: &[u8]) -> Result<Value, Failure> {
    let body = without_byte_order_mark(body);
    match read_first(body) {
        Ok(value) if !is_nested_deeper(&value, json_repair::LEVELS_MAX) => Ok(value),
        Err(error) if error.is_eof() => Err(unreadable(body, &error)),
        first => read_first(json_repair::repaired(body).as_bytes())
            .or(first)
            .map_err(|error| unreadable(body, &error)),
    }
}

/// A name in an answer. `None` if it is not a text, or has more than 256 bytes.
pub(super) fn short_text(value: Value) -> Option<String> {
    const BYTES_MAX: usize = 256;
    match value {
        Value::String(text) if text.len() <= BYTES_MAX => Some(text),
        _ => None,
    }
}

/// The body without the byte order mark.
pub(super) fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// Reads the first value of the body. Bytes after an object or a list are ignored, because some services send them. Bytes
/// after any other value are an error.
fn read_first(body: &[u8]) -> serde_json::Result<Value> {
    let mut deserializer = Deserializer::from_slice(body);
    let value = Value::deserialize(&mut deserializer)?;
    if !value.is_object() && !value.is_array() {
        deserializer.end()?;
    }
    Ok(value)
}

/// Whether a value has more than `levels` levels of objects and lists. The JSON parser's own limit of 128 levels bounds the
/// recursion.
fn is_nested_deeper(value: &Value, levels: usize) -> bool {
    let is_deeper = |value: &Value| is_nested_deeper(value, levels - 1);
    match value {
        Value::Array(elements) => levels == 0 || elements.iter().any(is_deeper),
        Value::Object(fields) => levels == 0 || fields.values().any(is_deeper),
        _ => false,
    }
}

/// Takes a field out of an object. Null if there is no such field.
pub(super) fn take(value: &mut Value, field: &str) -> Value {
    value.get_mut(field).map(Value::take).unwrap_or_default()
}

/// The elements of a list. Some services send one element without a list.
pub(super) fn elements(list: Value) -> Vec<Value> {
    match list {
        Value::Array(elements) => elements,
        Value::Null => Vec::new(),
        element => vec![element],
    }
}

/// Whether a value is an object with at least one field.
pub(super) fn is_object_with_fields(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| !fields.is_empty())
}

/// The text of a value that should be a text. A number is read as its digits.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn unwritable(error: &serde_json::Error) -> Failure {
    Failure::new(
        "invalid_request",
        format!("the request cannot be written as JSON: {error}"),
        Retry::Never,
    )
}

/// The failure of an answer that is a web page. A wrong base URL is the usual cause.
fn page_instead_of_json(body: &[u8]) -> Failure {
    let text = body_text::start_of_body(body);
    let text = text.map_or_else(String::new, |text| format!(": {text}"));
    Failure::new(
        "invalid_response",
        format!("the provider's answer is a page instead of JSON, check its base URL{text}"),
        Retry::Backoff,
    )
}

/// The failure of an answer that is a stream of events. No retry: each further call would be answered in the same way, and
/// charged.
fn stream_instead_of_json() -> Failure {
    Failure::new(
        "invalid_response",
        "the provider's answer is a stream of events, although the request asks for one JSON object: turn streaming off \
         at the provider, or at the proxy in front of it",
        Retry::Never,
    )
}

fn unreadable(body: &[u8], error: &serde_json::Error) -> Failure {
    if body_text::is_page(body) {
        return page_instead_of_json(body);
    }
    if body_text::is_event_stream(body) {
        return stream_instead_of_json();
    }
    // The text of the error may quote the reply, so the message contains only the error's kind and position.
    let problem = if error.is_eof() {
        "ends within its JSON"
    } else {
        "is not JSON"
    };
    Failure::new(
        "invalid_response",
        format!(
            "the provider's answer {problem} (line {}, column {})",
            error.line(),
            error.column()
        ),
        Retry::Backoff,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_nested_deeper, read};
    use crate::provider::{Retry, json_repair::LEVELS_MAX};

    #[test]
    fn the_message_shows_a_page_instead_of_json() {
        for (body, expected) in [
            ("<html><title>My models</title></html>", "My models"),
            ("\u{feff}\n<!doctype html><p>Sign in", "Sign in"),
            ("<html></html>", "page instead of JSON"),
            ("SSH-2.0", "not JSON"),
        ] {
            let failure = read(body.as_bytes()).expect_err("the text is no JSON");
            assert_eq!(failure.error.code, "invalid_response");
            assert_eq!(failure.retry, Retry::Backoff);
            assert!(failure.error.message.contains(expected), "{failure}");
        }
    }

    #[test]
    fn the_message_names_a_stream_instead_of_json_and_there_is_no_retry() {
        for body in [
            "data: {\"choices\": []}\n\ndata: [DONE]\n\n",
            "\nevent: message\ndata: {}\n\n",
            ": PROCESSING\n\ndata: {}\n\n",
            "id: 1\nretry: 3000\n",
        ] {
            let failure = read(body.as_bytes()).expect_err("the text is no JSON");
            assert_eq!(failure.error.code, "invalid_response");
            assert_eq!(failure.retry, Retry::Never, "{body}");
            assert!(failure.error.message.contains("stream"), "{failure}");
        }
    }

    #[test]
    fn bytes_after_an_object_are_ignored() {
        for (body, expected) in [
            ("{\"a\": 1}\0\0", Some(json!({"a": 1}))),
            ("{\"a\": 1}\n}", Some(json!({"a": 1}))),
            ("[1] done", Some(json!([1]))),
            ("404 page not found", None),
            ("\"a\" b", None),
        ] {
            assert_eq!(read(body.as_bytes()).ok(), expected, "{body}");
        }
    }

    #[test]
    fn the_last_of_several_fields_with_the_same_name_counts() {
        let value = read(br#"{"a": "x", "b": 1, "a": "y"}"#).expect("the text is JSON");
        assert_eq!(value, json!({"a": "y", "b": 1}));
    }

    #[test]
    fn values_at_deep_levels_are_left_out() {
        for levels in [1, 60, 64, 65, 100, 200, 100_000] {
            let deep = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
            let body = format!(r#"{{"deep": {deep}, "text": "good"}}"#);
            let value = read(body.as_bytes()).expect("the text is JSON");
            assert_eq!(value["text"], "good", "{levels} levels");
            assert_eq!(
                value.to_string().contains('1'),
                levels < 64,
                "{levels} levels"
            );
            assert!(!is_nested_deeper(&value, LEVELS_MAX));
        }
    }
}
