//! What the real Gemini refuses, as far as it matters to whoever builds its contexts.
//!
//! Stricter than the real service in three ways, all on purpose: a key in the query is refused,
//! field names must be in camel case, and signatures are checked in all turns, not only the newest.

use serde_json::Value;

use super::{super::reply::ProviderError, super::request::array, Signatures};

const BODY_FIELDS: [&str; 9] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
    "labels",
    "model",
];

const PART_FIELDS: [&str; 9] = [
    "text",
    "thought",
    "thoughtSignature",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
];

/// Whether a key came, and in the header.
///
/// # Errors
/// The 403 with which it is refused.
pub fn check_key(query: Option<&str>, header: Option<&str>) -> Result<(), ProviderError> {
    let in_query = query
        .unwrap_or_default()
        .split('&')
        .any(|pair| pair == "key" || pair.starts_with("key="));
    if in_query {
        return Err(ProviderError::new(403, "A key in the URL ends up in logs."));
    }
    if header.is_none_or(str::is_empty) {
        let message = "Method doesn't allow unregistered callers. Please use API Key.";
        return Err(ProviderError::new(403, message));
    }
    Ok(())
}

/// Whether the real service would take this body.
///
/// # Errors
/// The 400 with which it refuses.
pub fn check(body: &Value, signatures: &Signatures) -> Result<(), ProviderError> {
    known_fields(body, &BODY_FIELDS, "at the top")?;
    let contents = array(&body["contents"]);
    let Some(first) = contents.first() else {
        return Err(refused("contents is not specified"));
    };
    if first["role"] != "user" {
        return Err(refused(
            "Please ensure that the contents begin with a user turn.",
        ));
    }
    for (i, content) in contents.iter().enumerate() {
        let role = content["role"].as_str().unwrap_or_default();
        let parts = array(&content["parts"]);
        if !["user", "model"].contains(&role) {
            return Err(refused("Please use a valid role: user, model."));
        }
        if parts.is_empty() {
            return Err(refused(&format!("contents[{i}].parts must not be empty.")));
        }
        for part in parts {
            known_fields(part, &PART_FIELDS, &format!("at contents[{i}].parts"))?;
        }
        let before = i.checked_sub(1).map(|i| &contents[i]);
        check_responses(before, content)?;
        check_calls(before, content, contents.get(i + 1), signatures)?;
    }
    Ok(())
}

fn check_calls(
    before: Option<&Value>,
    content: &Value,
    after: Option<&Value>,
    signatures: &Signatures,
) -> Result<(), ProviderError> {
    let calls = fields(content, "functionCall");
    let Some(first) = calls.first() else {
        return Ok(());
    };
    if content["role"] != "model" || before.is_none_or(|before| before["role"] != "user") {
        return Err(refused(
            "Please ensure that function call turn comes immediately after a user turn or after a \
             function response turn.",
        ));
    }
    let signature = array(&content["parts"])
        .iter()
        .find(|part| part.get("functionCall").is_some())
        .and_then(|part| part["thoughtSignature"].as_str());
    signatures
        .check(first, signature)
        .map_err(|message| refused(&message))?;
    let answered = after.map_or(0, |after| fields(after, "functionResponse").len());
    if answered != calls.len() {
        return Err(refused(
            "Please ensure that the number of function response parts is equal to the number of \
             function call parts of the function call turn.",
        ));
    }
    Ok(())
}

fn check_responses(before: Option<&Value>, content: &Value) -> Result<(), ProviderError> {
    let responses = fields(content, "functionResponse");
    if responses.is_empty() {
        return Ok(());
    }
    let mut open = before.map_or(Vec::new(), |before| fields(before, "functionCall"));
    if content["role"] != "user" || open.is_empty() {
        return Err(refused(
            "Please ensure that function response turn comes immediately after a function call \
             turn.",
        ));
    }
    for response in responses {
        if !response["response"].is_object() {
            return Err(refused("function_response.response must be an object."));
        }
        let answers = |call: &&Value| {
            call["name"] == response["name"]
                && (call["id"].is_null() || call["id"] == response["id"])
        };
        let Some(at) = open.iter().position(answers) else {
            return Err(refused(&format!(
                "Function response {} answers no function call of the turn before, or one too many.",
                response["name"]
            )));
        };
        open.remove(at);
    }
    Ok(())
}

fn fields<'a>(content: &'a Value, name: &str) -> Vec<&'a Value> {
    let parts = array(&content["parts"]).iter();
    parts.filter_map(|part| part.get(name)).collect()
}

fn known_fields(value: &Value, known: &[&str], place: &str) -> Result<(), ProviderError> {
    let unknown = value
        .as_object()
        .and_then(|object| object.keys().find(|key| !known.contains(&key.as_str())));
    match unknown {
        None => Ok(()),
        Some(name) => Err(refused(&format!(
            "Invalid JSON payload received. Unknown name \"{name}\" {place}: Cannot find field."
        ))),
    }
}

fn refused(message: &str) -> ProviderError {
    ProviderError::new(400, message)
}
