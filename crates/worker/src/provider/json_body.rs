//! Writes the JSON of requests and reads the JSON of answers.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, error::Category};

use super::{Failure, Retry};

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

/// Reads the body of an answer.
///
/// # Errors
/// `invalid_response` when the body is not JSON, or has another shape than `T`.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| unreadable(&error))
}

fn unwritable(error: &serde_json::Error) -> Failure {
    Failure::new(
        "invalid_request",
        format!("the request cannot be written as JSON: {error}"),
        Retry::Never,
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
