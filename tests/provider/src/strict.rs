//! What strict servers with OpenAI's API refuse and OpenAI's own service accepts: servers that render a chat template, or
//! that read each message into a type.
//!
//! Pure. The rules come from public reports about such servers.

use serde_json::{Map, Value};

use super::{reply::ProviderError, request::array};

/// Whether a strict server would take these messages.
///
/// # Errors
/// The 400 with which it refuses.
pub(super) fn check(messages: &[Value]) -> Result<(), ProviderError> {
    for (i, message) in messages.iter().enumerate() {
        let refused = |why: &str| Err(ProviderError::new(400, &format!("messages[{i}]: {why}")));
        match message["role"].as_str() {
            Some("developer") => return refused("developer is not a known role"),
            Some("system") if i > 0 => return refused("System message must be at the beginning."),
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
            if !is_name(&call["function"]["name"]) {
                return refused("the name of a function must match ^[a-zA-Z0-9_-]{1,64}$");
            }
            if !is_object(&call["function"]["arguments"]) {
                return refused("the arguments of a function must be a JSON object");
            }
        }
    }
    Ok(())
}

fn is_name(value: &Value) -> bool {
    value.as_str().is_some_and(|name| {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    })
}

fn is_object(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| serde_json::from_str::<Map<String, Value>>(text).is_ok())
}
