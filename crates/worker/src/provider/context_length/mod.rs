//! Recognises an error about the length of the context, and reads the token counts that it states.
//!
//! `wordings` lists the phrases, `template` matches one of them, and `tokens` defines the counts.

mod template;
mod tokens;
mod wordings;

use serde_json::Value;

pub use tokens::ContextTokens;

use super::token_counts;

/// The codes and types of an error about the length of the context.
const CODES: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];

/// The counts that an error about the length of the context states. `None`: the error is about something else.
///
/// `error` is the JSON object with the error's fields, and `message` the provider's own message. The HTTP status is not
/// considered, because some servers send such an error with status 500.
pub(super) fn read(error: &Value, message: &str) -> Option<ContextTokens> {
    let stated = wordings::read(message);
    let has_code = ["code", "type"].iter().any(|field| {
        let code = error[*field].as_str();
        code.is_some_and(|code| CODES.contains(&code))
    });
    if stated.is_none() && !has_code {
        return None;
    }
    // llama.cpp has fields for the counts.
    let fields = ContextTokens {
        limit: token_counts::read(&error["n_ctx"]),
        input: token_counts::read(&error["n_prompt_tokens"]),
        ..ContextTokens::default()
    };
    Some(fields.or(stated.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ContextTokens, read};

    #[test]
    fn an_error_is_recognised_by_its_code_or_its_message() {
        let none = ContextTokens::default();
        for (error, message, expected) in [
            (json!({"code": "context_length_exceeded"}), "no", Some(none)),
            (
                json!({"type": "exceed_context_size_error", "n_ctx": 8192, "n_prompt_tokens": 14429}),
                "the request exceeds the available context size. try increasing the context size or enable context shift",
                Some(ContextTokens {
                    limit: Some(8_192),
                    input: Some(14_429),
                    ..none
                }),
            ),
            (
                Value::Null,
                "Input is too long for requested model.",
                Some(none),
            ),
            (json!({"code": "rate_limit_exceeded"}), "slow down", None),
            (Value::Null, "", None),
        ] {
            assert_eq!(read(&error, message), expected, "{error} {message}");
        }
    }
}
