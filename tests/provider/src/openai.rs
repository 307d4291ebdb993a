//! OpenAI's chat completions: what the real service refuses in a context, and the form of its replies.
//!
//! Pure. Not checked: message fields it does not know (compatible servers take some), the key, and
//! whether a model can do what is asked.

use serde_json::{Value, json};

use super::{
    reply::{ProviderError, ScriptedCall, ScriptedReply},
    request::{ChatRequest, array},
    seen,
};

const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// Whether the real service would take this body.
///
/// # Errors
/// The 400 with which it refuses.
pub fn check(body: &Value) -> Result<(), ProviderError> {
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err(refused("you must provide a model parameter"));
    }
    if body["stream"] == json!(true) {
        return Err(refused("the scripted server does not stream"));
    }
    let messages = array(&body["messages"]);
    if messages.is_empty() {
        return Err(refused(
            "Invalid 'messages': expected an array with minimum length 1.",
        ));
    }
    // Ids of the newest assistant message's calls that no tool message has answered yet.
    let mut unanswered: Vec<&str> = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if !ROLES.contains(&role) {
            return Err(refused(&format!("Invalid 'messages[{i}].role': '{role}'.")));
        }
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(at) = unanswered.iter().position(|call| *call == id) else {
                return Err(refused(&format!(
                    "Invalid 'messages[{i}]': a message with role 'tool' must be a response to a \
                     preceding message with 'tool_calls'; there is no open call '{id}'."
                )));
            };
            unanswered.remove(at);
        } else if !unanswered.is_empty() {
            return Err(not_followed(&unanswered));
        }
        check_content(i, role, message)?;
        if role == "assistant" {
            unanswered = call_ids(i, message)?;
        }
    }
    if unanswered.is_empty() {
        Ok(())
    } else {
        Err(not_followed(&unanswered))
    }
}

fn check_content(i: usize, role: &str, message: &Value) -> Result<(), ProviderError> {
    let may_be_absent = role == "assistant" && message.get("tool_calls").is_some();
    let valid = match &message["content"] {
        Value::String(_) => true,
        Value::Array(parts) => !parts.is_empty() && parts.iter().all(|p| p["type"].is_string()),
        Value::Null => may_be_absent,
        _ => false,
    };
    if valid {
        return Ok(());
    }
    Err(refused(&format!(
        "Invalid value for 'content': expected a string or a list of parts. (messages[{i}], role \
         '{role}')"
    )))
}

fn call_ids(i: usize, message: &Value) -> Result<Vec<&str>, ProviderError> {
    let Some(calls) = message.get("tool_calls") else {
        return Ok(Vec::new());
    };
    let calls = array(calls);
    if calls.is_empty() {
        return Err(refused(&format!(
            "Invalid 'messages[{i}].tool_calls': empty array."
        )));
    }
    let mut ids = Vec::new();
    for call in calls {
        let complete = call["type"] == "function"
            && call["function"]["name"].is_string()
            && call["function"]["arguments"].is_string();
        match call["id"].as_str() {
            Some(id) if complete => ids.push(id),
            _ => {
                return Err(refused(&format!(
                    "Invalid 'messages[{i}].tool_calls': a call needs id, type and function."
                )));
            }
        }
    }
    Ok(ids)
}

fn not_followed(ids: &[&str]) -> ProviderError {
    refused(&format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to \
         each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        ids.join(", ")
    ))
}

fn refused(message: &str) -> ProviderError {
    ProviderError::new(400, message)
}

/// The body of an error.
#[must_use]
pub fn error_body(error: &ProviderError) -> Value {
    let kind = match (error.code.as_deref(), error.status) {
        (Some("insufficient_quota"), _) => "insufficient_quota",
        (_, 429) => "requests",
        (_, 500..) => "server_error",
        _ => "invalid_request_error",
    };
    let code = match (&error.code, error.status) {
        (Some(code), _) => json!(code),
        (None, 429) => json!("rate_limit_exceeded"),
        (None, _) => Value::Null,
    };
    json!({ "error": { "message": error.message, "type": kind, "param": null, "code": code } })
}

/// The body of a reply that is a completion; `None` for one that is not.
pub(super) fn completion(request: &ChatRequest, reply: &ScriptedReply) -> Option<Value> {
    let (message, reason) = match reply {
        ScriptedReply::TurnNumbers => (text_message(&seen::reply(&request.seen())), "stop"),
        ScriptedReply::Text(text) => (text_message(text), "stop"),
        ScriptedReply::ToolCalls(calls) => (calls_message(request.n, calls), "tool_calls"),
        ScriptedReply::Finish { reason, text } => {
            let message = json!({ "role": "assistant", "content": text, "refusal": null });
            (message, reason.as_str())
        }
        ScriptedReply::EmptyChoice => (json!({ "role": "assistant", "content": null }), "stop"),
        ScriptedReply::NoChoices => return Some(envelope(request, &json!([]), 0)),
        _ => return None,
    };
    let output_bytes = message.to_string().len();
    let choice =
        json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": reason });
    Some(envelope(request, &json!([choice]), output_bytes))
}

fn text_message(text: &str) -> Value {
    json!({ "role": "assistant", "content": text, "refusal": null })
}

fn calls_message(n: usize, calls: &[ScriptedCall]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .enumerate()
        .map(|(i, call)| {
            let id = call.id.clone().unwrap_or_else(|| format!("call_{n}_{i}"));
            let arguments = call.arguments.to_string();
            json!({
                "id": id,
                "type": "function",
                "function": { "name": call.name, "arguments": arguments },
            })
        })
        .collect();
    json!({ "role": "assistant", "content": null, "refusal": null, "tool_calls": calls })
}

/// Tokens are a quarter of the bytes, so that more context always costs more.
fn envelope(request: &ChatRequest, choices: &Value, output_bytes: usize) -> Value {
    let input = request.body["messages"].to_string().len() / 4 + 1;
    let output = output_bytes / 4;
    json!({
        "id": format!("chatcmpl-{}", request.n),
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": request.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": input,
            "completion_tokens": output,
            "total_tokens": input + output,
        },
    })
}
