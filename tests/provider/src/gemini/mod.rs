//! Gemini's native `generateContent`: what the real service refuses ([`check`]), the signatures it
//! hands out ([`Signatures`]), and the form of its replies (here).

mod check;
mod signatures;

use serde_json::{Value, json};

use super::{
    reply::{ProviderError, ScriptedCall, ScriptedReply},
    request::ChatRequest,
    seen,
};

pub use check::{check, check_key};
pub use signatures::{SKIP, Signatures};

/// The body of an error.
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

/// The body of a reply that is generated content; `None` for one that is not. A first function call
/// gets its signature here.
pub(super) fn content(
    request: &ChatRequest,
    reply: &ScriptedReply,
    signatures: &Signatures,
) -> Option<Value> {
    let text_part = |text: &str| json!([{ "text": text }]);
    let (parts, reason) = match reply {
        ScriptedReply::TurnNumbers => (text_part(&seen::reply(&request.seen())), "STOP"),
        ScriptedReply::Text(text) => (text_part(text), "STOP"),
        ScriptedReply::ToolCalls(calls) => (call_parts(request.n, calls, signatures), "STOP"),
        ScriptedReply::Finish { reason, text } => {
            let parts = text.as_deref().map_or(Value::Null, text_part);
            (parts, reason.as_str())
        }
        ScriptedReply::EmptyChoice => (Value::Null, "STOP"),
        ScriptedReply::NoChoices => return Some(envelope(request, None)),
        _ => return None,
    };
    let mut candidate = json!({ "finishReason": reason, "index": 0 });
    if !parts.is_null() {
        candidate["content"] = json!({ "role": "model", "parts": parts });
    }
    Some(envelope(request, Some(candidate)))
}

/// As in the real service's replies, only the first of several parallel calls carries a signature,
/// and its `finishReason` is `STOP`.
fn call_parts(n: usize, calls: &[ScriptedCall], signatures: &Signatures) -> Value {
    let parts = calls.iter().enumerate().map(|(i, call)| {
        let mut function_call = json!({ "name": call.name, "args": call.arguments });
        if let Some(id) = &call.id {
            function_call["id"] = json!(id);
        }
        let mut part = json!({ "functionCall": function_call });
        if i == 0 {
            part["thoughtSignature"] = json!(signatures.issue(n, &part["functionCall"]));
        }
        part
    });
    parts.collect()
}

/// Tokens are a quarter of the bytes, so that more context always costs more.
fn envelope(request: &ChatRequest, candidate: Option<Value>) -> Value {
    let input = request.body["contents"].to_string().len() / 4 + 1;
    let output = candidate.as_ref().map_or(0, |c| c.to_string().len() / 4);
    let mut body = json!({
        "usageMetadata": {
            "promptTokenCount": input,
            "candidatesTokenCount": output,
            "totalTokenCount": input + output,
        },
        "modelVersion": request.model,
        "responseId": format!("resp-{}", request.n),
    });
    if let Some(candidate) = candidate {
        body["candidates"] = json!([candidate]);
    }
    body
}
