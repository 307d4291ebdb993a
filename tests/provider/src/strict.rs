//! Checks messages as strict servers with OpenAI's API do. Such servers render a chat template, or parse each message into a
//! type. So they refuse some messages that OpenAI's own service accepts.
//!
//! The functions are pure. The rules come from public reports about such servers.

use serde_json::{Map, Value};

use super::{reply::ProviderError, request::array};

/// Checks that a strict server would accept these messages.
///
/// # Errors
/// An error with status 400 and the server's reason.
pub(super) fn check(messages: &[Value]) -> Result<(), ProviderError> {
    for (index, message) in messages.iter().enumerate() {
        let refused = |reason: &str| {
            Err(ProviderError::new(
                400,
                &format!("messages[{index}]: {reason}"),
            ))
        };
        match message["role"].as_str() {
            Some("developer") => return refused("developer is not a known role"),
            Some("system") if index > 0 => {
                return refused("System message must be at the beginning.");
            }
            Some("assistant") => {
                if message.get("content").is_none() {
                    return refused("missing field `content`");
                }
                let has_calls = message.get("tool_calls").is_some();
                let text = message["content"].as_str();
                if !has_calls && text.is_none_or(|text| text.trim().is_empty()) {
                    return refused("an assistant message must have text or tool_calls");
                }
            }
            _ => {}
        }
        for call in array(&message["tool_calls"]) {
            if !is_function_name(&call["function"]["name"]) {
                return refused("the name of a function must match ^[a-zA-Z0-9_-]{1,64}$");
            }
            if !parses_to_object(&call["function"]["arguments"]) {
                return refused("the arguments of a function must be a JSON object");
            }
        }
    }
    Ok(())
}

fn is_function_name(value: &Value) -> bool {
    value.as_str().is_some_and(|name| {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    })
}

fn parses_to_object(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| serde_json::from_str::<Map<String, Value>>(text).is_ok())
}
