//! Writes the JSON of requests and reads the JSON of answers.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, error::Category};

use super::{Failure, Retry, body_text, json_repair};

/// The byte order mark, which RFC 8259 lets a reader ignore.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The body of a request.
///
/// # Errors
/// `invalid_request` when the value has no JSON form.
pub(super) fn write(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| unwritable(&error))
}

/// A part of a request.
///
/// # Errors
/// `invalid_request` when the value has no JSON form.
pub(super) fn to_value(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| unwritable(&error))
}

/// Reads the body of an answer. A byte order mark is ignored, and small mistakes of the JSON are repaired.
///
/// # Errors
/// `invalid_response` when the body is not JSON, or has another shape than `T`.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let read = serde_json::from_slice(body).or_else(|error| match error.classify() {
        Category::Syntax => serde_json::from_str(&json_repair::repaired(body)).map_err(|_| error),
        Category::Data | Category::Eof | Category::Io => Err(error),
    });
    read.map_err(|error| {
        if body_text::is_page(body) {
            page_instead_of_json(body)
        } else {
            unreadable(&error)
        }
    })
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

fn unreadable(error: &serde_json::Error) -> Failure {
    // The text of the error may quote the reply, so the message has only its kind and position.
    let problem = match error.classify() {
        Category::Data => "is JSON of an unexpected shape",
        Category::Eof => "ends within its JSON",
        Category::Syntax | Category::Io => "is not JSON",
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
    use serde_json::Value;

    use super::read;

    #[test]
    fn a_page_instead_of_json_is_named() {
        for (body, expected) in [
            ("<html><title>My models</title></html>", "My models"),
            ("\u{feff}\n<!doctype html><p>Sign in", "Sign in"),
            ("<html></html>", "page instead of JSON"),
            ("SSH-2.0", "not JSON"),
        ] {
            let failure = read::<Value>(body.as_bytes()).expect_err("the text is no JSON");
            assert_eq!(failure.error.code, "invalid_response");
            assert!(failure.error.message.contains(expected), "{failure}");
        }
    }
}
