//! Stores Gemini's thought signatures and sends them back.
//!
//! Gemini adds an opaque signature to parts of its replies and expects it back on the same parts. Gemini 3
//! and later refuse a tool call that is sent back without its signature.
//!
//! A signature is stored in `extra_content`, in the form of Google's OpenAI-compatible API. So a session can begin over
//! Gemini's native API and continue over Google's OpenAI-compatible API, or the reverse.

use serde_json::{Value, json};

/// The `extra_content` that stores a signature.
pub(super) fn to_extra_content(signature: Option<String>) -> Option<Value> {
    signature.map(|signature| json!({"google": {"thought_signature": signature}}))
}

/// The signature that an `extra_content` stores.
pub(super) fn in_extra_content(extra_content: Option<&Value>) -> Option<&str> {
    extra_content?
        .get("google")?
        .get("thought_signature")?
        .as_str()
}

/// The part with the signature, if there is one.
pub(super) fn added_to_part(mut part: Value, signature: Option<&str>) -> Value {
    if let Some(signature) = signature {
        part["thoughtSignature"] = signature.into();
    }
    part
}

/// The signature that Gemini accepts for a tool call of another model; see "Thought signatures" in Gemini's documentation. It
/// lowers the quality of the next reply, so the placeholder is used only where it is needed.
const PLACEHOLDER: &str = "skip_thought_signature_validator";

/// Adds a placeholder to replies of other providers, which have no signatures. The first tool call of a reply gets the
/// placeholder: Gemini's own replies have their signature there too. Nothing is added for models that need no signatures.
pub(super) fn add_placeholders(contents: &mut [Value], model: &str) {
    if !needs_signatures(model) {
        return;
    }
    for content in contents
        .iter_mut()
        .filter(|content| content["role"] == "model")
    {
        let Some(parts) = content["parts"].as_array_mut() else {
            continue;
        };
        let is_signed = |part: &Value| part.get("thoughtSignature").is_some();
        let mut calls = parts
            .iter_mut()
            .filter(|part| part.get("functionCall").is_some());
        if let Some(first) = calls.next()
            && !is_signed(first)
            && !calls.any(|call| is_signed(call))
        {
            first["thoughtSignature"] = PLACEHOLDER.into();
        }
    }
}

/// Whether the model refuses tool calls without signatures. Gemini 3 and later do. A name without a number means
/// the newest model.
fn needs_signatures(model: &str) -> bool {
    model.strip_prefix("gemini-").is_some_and(|rest| {
        let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
        number.parse().map_or(true, |number: u32| number >= 3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(signature: Option<&str>) -> Value {
        let mut part = json!({"functionCall": {"name": "f", "args": {}}});
        if let Some(signature) = signature {
            part["thoughtSignature"] = signature.into();
        }
        part
    }

    fn model(parts: &[Value]) -> Value {
        json!({"role": "model", "parts": parts})
    }

    #[test]
    fn the_first_call_of_a_reply_without_signatures_gets_a_placeholder() {
        let user = json!({"role": "user", "parts": [{"text": "hi"}]});
        let own = model(&[call(Some("S")), call(None)]);
        let foreign = model(&[json!({"text": "well"}), call(None), call(None)]);
        let text = model(&[json!({"text": "done"})]);
        let mut contents = [user.clone(), own.clone(), foreign, text.clone()];
        add_placeholders(&mut contents, "gemini-3-pro");
        let filled = model(&[json!({"text": "well"}), call(Some(PLACEHOLDER)), call(None)]);
        assert_eq!(contents, [user, own, filled, text]);
    }

    #[test]
    fn only_models_that_need_signatures_get_placeholders() {
        for (name, needs) in [
            ("gemini-2.5-flash", false),
            ("gemini-3-pro", true),
            ("gemini-10", true),
            ("gemini-flash-latest", true),
            ("gemma-3", false),
        ] {
            let mut contents = [model(&[call(None)])];
            add_placeholders(&mut contents, name);
            let is_filled = contents[0]["parts"][0].get("thoughtSignature").is_some();
            assert_eq!(is_filled, needs, "{name}");
        }
    }
}
