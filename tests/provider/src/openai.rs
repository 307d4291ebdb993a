//! OpenAI's chat completions. [`check`] refuses the contexts that the real service or a strict compatible server refuses,
//! and this file writes replies in OpenAI's format.
//!
//! The functions are pure. They do not check unknown fields of messages, because compatible servers accept some of
//! those. They also do not check the key, or whether a model supports what the request asks for.

use serde_json::{Value, json};

use super::{
    reply::{ProviderError, ScriptedCall, ScriptedReply},
    request::{ChatRequest, array},
    seen, strict,
};

const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// Checks that the real service and strict compatible servers would accept this body.
///
/// # Errors
/// An error with status 400 and the service's reason.
pub fn check(body: &Value) -> Result<(), ProviderError> {
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err(refusal("you must provide a model parameter"));
    }
    if body["stream"] == json!(true) {
        return Err(refusal("the scripted server does not stream"));
    }
    let messages = array(&body["messages"]);
    if messages.is_empty() {
        return Err(refusal(
            "Invalid 'messages': expected an array with minimum length 1.",
        ));
    }
    // The ids of the newest assistant message's calls that no tool message has answered yet.
    let mut unanswered: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if !ROLES.contains(&role) {
            return Err(refusal(&format!(
                "Invalid 'messages[{index}].role': '{role}'."
            )));
        }
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(position) = unanswered.iter().position(|call| *call == id) else {
                return Err(refusal(&format!(
                    "Invalid 'messages[{index}]': a message with role 'tool' must be a response to a \
                     preceding message with 'tool_calls'; there is no unanswered call '{id}'."
                )));
            };
            unanswered.remove(position);
        } else if !unanswered.is_empty() {
            return Err(missing_results(&unanswered));
        }
        check_content(index, role, message)?;
        if role == "assistant" {
            unanswered = call_ids(index, message)?;
        }
    }
    if !unanswered.is_empty() {
        return Err(missing_results(&unanswered));
    }
    strict::check(messages)
}

fn check_content(index: usize, role: &str, message: &Value) -> Result<(), ProviderError> {
    let may_be_absent = role == "assistant" && message.get("tool_calls").is_some();
    let valid = match &message["content"] {
        Value::String(_) => true,
        Value::Array(parts) => {
            !parts.is_empty() && parts.iter().all(|part| part["type"].is_string())
        }
        Value::Null => may_be_absent,
        _ => false,
    };
    if valid {
        return Ok(());
    }
    Err(refusal(&format!(
        "Invalid value for 'content': expected a string or a list of parts. (messages[{index}], role \
         '{role}')"
    )))
}

fn call_ids(index: usize, message: &Value) -> Result<Vec<&str>, ProviderError> {
    let Some(calls) = message.get("tool_calls") else {
        return Ok(Vec::new());
    };
    let calls = array(calls);
    if calls.is_empty() {
        return Err(refusal(&format!(
            "Invalid 'messages[{index}].tool_calls': empty array."
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
                return Err(refusal(&format!(
                    "Invalid 'messages[{index}].tool_calls': a call needs id, type and function."
                )));
            }
        }
    }
    Ok(ids)
}

fn missing_results(ids: &[&str]) -> ProviderError {
    refusal(&format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to \
         each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        ids.join(", ")
    ))
}

fn refusal(message: &str) -> ProviderError {
    ProviderError::new(400, message)
}

/// The response body of an error.
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

/// The response body for a reply that is a completion; `None` for other replies.
pub(super) fn completion(request: &ChatRequest, reply: &ScriptedReply) -> Option<Value> {
    let (message, reason) = match reply {
        ScriptedReply::TurnNumbers => (text_message(&seen::reply(&request.turn_numbers())), "stop"),
        ScriptedReply::Text(text) => (text_message(text), "stop"),
        ScriptedReply::ToolCalls(calls) => (calls_message(request.number, calls), "tool_calls"),
        ScriptedReply::Finish { reason, text } => {
            let message = json!({ "role": "assistant", "content": text, "refusal": null });
            (message, reason.as_str())
        }
        ScriptedReply::EmptyChoice => (json!({ "role": "assistant", "content": null }), "stop"),
        ScriptedReply::NoChoices => return Some(response_body(request, &json!([]), 0)),
        _ => return None,
    };
    let output_bytes = message.to_string().len();
    let choice =
        json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": reason });
    Some(response_body(request, &json!([choice]), output_bytes))
}

fn text_message(text: &str) -> Value {
    json!({ "role": "assistant", "content": text, "refusal": null })
}

fn calls_message(request_number: usize, calls: &[ScriptedCall]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .enumerate()
        .map(|(index, call)| {
            let id = call
                .id
                .clone()
                .unwrap_or_else(|| format!("call_{request_number}_{index}"));
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

/// The number of tokens is about a quarter of the number of bytes, so that it grows with the context.
fn response_body(request: &ChatRequest, choices: &Value, output_bytes: usize) -> Value {
    let input_tokens = request.body["messages"].to_string().len() / 4 + 1;
    let output_tokens = output_bytes / 4;
    json!({
        "id": format!("chatcmpl-{}", request.number),
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": request.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
        },
    })
}
