//! Gemini's native `generateContent`. [`check`] refuses what the real service refuses, [`Signatures`] issues thought
//! signatures, and this file writes replies in Gemini's format.

mod check;
mod signatures;

use serde_json::{Value, json};

use super::{
    reply::{ProviderError, ScriptedCall, ScriptedReply},
    request::ChatRequest,
    seen,
};

pub use check::{check, check_key};
pub use signatures::{SKIP_MARKER, Signatures};

/// The response body of an error.
#[must_use]
pub fn error_body(error: &ProviderError) -> Value {
    let status = match (&error.code, error.status) {
        (Some(code), _) => code.as_str(),
        (None, 400) => "INVALID_ARGUMENT",
        (None, 401) => "UNAUTHENTICATED",
        (None, 403) => "PERMISSION_DENIED",
        (None, 404) => "NOT_FOUND",
        (None, 429) => "RESOURCE_EXHAUSTED",
        (None, 503) => "UNAVAILABLE",
        (None, 504) => "DEADLINE_EXCEEDED",
        (None, _) => "INTERNAL",
    };
    json!({ "error": { "code": error.status, "message": error.message, "status": status } })
}

/// The response body for a reply that is generated content; `None` for other replies. The first function call of a
/// reply gets its signature here.
pub(super) fn content(
    request: &ChatRequest,
    reply: &ScriptedReply,
    signatures: &Signatures,
) -> Option<Value> {
    let text_part = |text: &str| json!([{ "text": text }]);
    let (parts, reason) = match reply {
        ScriptedReply::TurnNumbers => (text_part(&seen::reply(&request.turn_numbers())), "STOP"),
        ScriptedReply::Text(text) => (text_part(text), "STOP"),
        ScriptedReply::ToolCalls(calls) => (call_parts(request.number, calls, signatures), "STOP"),
        ScriptedReply::Finish { reason, text } => {
            let parts = text.as_deref().map_or(Value::Null, text_part);
            (parts, reason.as_str())
        }
        ScriptedReply::EmptyChoice => (Value::Null, "STOP"),
        ScriptedReply::NoChoices => return Some(response_body(request, None)),
        _ => return None,
    };
    let mut candidate = json!({ "finishReason": reason, "index": 0 });
    if !parts.is_null() {
        candidate["content"] = json!({ "role": "model", "parts": parts });
    }
    Some(response_body(request, Some(candidate)))
}

/// The parts of a reply with function calls. As in the real service's replies, only the first of several parallel
/// calls has a signature.
fn call_parts(request_number: usize, calls: &[ScriptedCall], signatures: &Signatures) -> Value {
    let parts = calls.iter().enumerate().map(|(index, call)| {
        let mut function_call = json!({ "name": call.name, "args": call.arguments });
        if let Some(id) = &call.id {
            function_call["id"] = json!(id);
        }
        let mut part = json!({ "functionCall": function_call });
        if index == 0 {
            part["thoughtSignature"] =
                json!(signatures.issue(request_number, &part["functionCall"]));
        }
        part
    });
    parts.collect()
}

/// The number of tokens is about a quarter of the number of bytes, so that it grows with the context.
fn response_body(request: &ChatRequest, candidate: Option<Value>) -> Value {
    let input_tokens = request.body["contents"].to_string().len() / 4 + 1;
    let output_tokens = candidate
        .as_ref()
        .map_or(0, |candidate| candidate.to_string().len() / 4);
    let mut body = json!({
        "usageMetadata": {
            "promptTokenCount": input_tokens,
            "candidatesTokenCount": output_tokens,
            "totalTokenCount": input_tokens + output_tokens,
        },
        "modelVersion": request.model,
        "responseId": format!("resp-{}", request.number),
    });
    if let Some(candidate) = candidate {
        body["candidates"] = json!([candidate]);
    }
    body
}
