//! Refuses requests whose key or context the real Gemini refuses.
//!
//! The checks are stricter than the real service in three ways: they refuse a key in the query, they accept field
//! names in camel case only, and they check the signatures of all turns, not only of the newest.

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

/// Checks that the request has a key in the header, and no key in the query.
///
/// # Errors
/// An error with status 403, for the response.
pub fn check_key(query: Option<&str>, header: Option<&str>) -> Result<(), ProviderError> {
    let in_query = query
        .unwrap_or_default()
        .split('&')
        .any(|pair| pair == "key" || pair.starts_with("key="));
    if in_query {
        return Err(ProviderError::new(
            403,
            "The key must be in the header x-goog-api-key, because URLs are logged.",
        ));
    }
    if header.is_none_or(str::is_empty) {
        let message = "Method doesn't allow unregistered callers. Please use API Key.";
        return Err(ProviderError::new(403, message));
    }
    Ok(())
}

/// Checks that the real service would accept this body.
///
/// # Errors
/// An error with status 400 and the service's reason.
pub fn check(body: &Value, signatures: &Signatures) -> Result<(), ProviderError> {
    check_fields(body, &BODY_FIELDS, "at the top")?;
    let contents = array(&body["contents"]);
    let Some(first) = contents.first() else {
        return Err(refusal("contents is not specified"));
    };
    if first["role"] != "user" {
        return Err(refusal(
            "Please ensure that the contents begin with a user turn.",
        ));
    }
    for (index, content) in contents.iter().enumerate() {
        let role = content["role"].as_str().unwrap_or_default();
        let parts = array(&content["parts"]);
        if !["user", "model"].contains(&role) {
            return Err(refusal("Please use a valid role: user, model."));
        }
        if parts.is_empty() {
            return Err(refusal(&format!(
                "contents[{index}].parts must not be empty."
            )));
        }
        for part in parts {
            check_fields(part, &PART_FIELDS, &format!("at contents[{index}].parts"))?;
        }
        let before = index.checked_sub(1).map(|index| &contents[index]);
        check_responses(before, content)?;
        check_calls(before, content, contents.get(index + 1), signatures)?;
    }
    Ok(())
}

fn check_calls(
    before: Option<&Value>,
    content: &Value,
    after: Option<&Value>,
    signatures: &Signatures,
) -> Result<(), ProviderError> {
    let calls = parts_with(content, "functionCall");
    let Some(first) = calls.first() else {
        return Ok(());
    };
    if content["role"] != "model" || before.is_none_or(|before| before["role"] != "user") {
        return Err(refusal(
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
        .map_err(|message| refusal(&message))?;
    let response_count = after.map_or(0, |after| parts_with(after, "functionResponse").len());
    if response_count != calls.len() {
        return Err(refusal(
            "Please ensure that the number of function response parts is equal to the number of \
             function call parts of the function call turn.",
        ));
    }
    Ok(())
}

fn check_responses(before: Option<&Value>, content: &Value) -> Result<(), ProviderError> {
    let responses = parts_with(content, "functionResponse");
    if responses.is_empty() {
        return Ok(());
    }
    let mut unanswered = before.map_or(Vec::new(), |before| parts_with(before, "functionCall"));
    if content["role"] != "user" || unanswered.is_empty() {
        return Err(refusal(
            "Please ensure that function response turn comes immediately after a function call \
             turn.",
        ));
    }
    for response in responses {
        if !response["response"].is_object() {
            return Err(refusal("function_response.response must be an object."));
        }
        let answers = |call: &&Value| {
            call["name"] == response["name"]
                && (call["id"].is_null() || call["id"] == response["id"])
        };
        let Some(position) = unanswered.iter().position(answers) else {
            return Err(refusal(&format!(
                "Function response {} answers no function call of the previous turn, or one that has a response already.",
                response["name"]
            )));
        };
        unanswered.remove(position);
    }
    Ok(())
}

/// The values of the field `name` in the parts of a content that have this field.
fn parts_with<'a>(content: &'a Value, name: &str) -> Vec<&'a Value> {
    let parts = array(&content["parts"]).iter();
    parts.filter_map(|part| part.get(name)).collect()
}

/// Refuses an object with a field that Gemini does not know.
fn check_fields(value: &Value, known: &[&str], location: &str) -> Result<(), ProviderError> {
    let unknown = value
        .as_object()
        .and_then(|object| object.keys().find(|key| !known.contains(&key.as_str())));
    match unknown {
        None => Ok(()),
        Some(name) => Err(refusal(&format!(
            "Invalid JSON payload received. Unknown name \"{name}\" {location}: Cannot find field."
        ))),
    }
}

fn refusal(message: &str) -> ProviderError {
    ProviderError::new(400, message)
}
