//! Thought signatures: opaque texts that Gemini puts on parts of its replies and wants back on the same
//! parts. Newer models refuse a replayed tool call without its own.
//!
//! They are kept in `extra_content`, in the form that Google's OpenAI-compatible endpoint uses, so that
//! a session can go on over either.

use serde_json::{Value, json};

/// The `extra_content` that keeps a signature.
pub(super) fn kept(signature: Option<String>) -> Option<Value> {
    signature.map(|signature| json!({"google": {"thought_signature": signature}}))
}

/// The signature that an `extra_content` keeps.
pub(super) fn of(extra_content: Option<&Value>) -> Option<&str> {
    extra_content?
        .get("google")?
        .get("thought_signature")?
        .as_str()
}

/// What Gemini takes in place of the signature of a call that it did not make ("Thought signatures" in its
/// documentation). It answers such calls less well, so it stands nowhere else.
const SKIP: &str = "skip_thought_signature_validator";

/// Puts something in place of the signatures that replies lack which come from another provider: on the first call
/// of each, as Gemini itself does, and only for models that would refuse the reply without.
pub(super) fn stand_in(contents: &mut [Value], model: &str) {
    if !is_strict(model) {
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
            first["thoughtSignature"] = SKIP.into();
        }
    }
}

/// Gemini 3 and later, to which names without a number lead by now.
fn is_strict(model: &str) -> bool {
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
    fn only_the_first_call_of_a_reply_without_signatures_gets_the_stand_in() {
        let user = json!({"role": "user", "parts": [{"text": "hi"}]});
        let own = model(&[call(Some("S")), call(None)]);
        let foreign = model(&[json!({"text": "well"}), call(None), call(None)]);
        let said = model(&[json!({"text": "done"})]);
        let mut contents = [user.clone(), own.clone(), foreign, said.clone()];
        stand_in(&mut contents, "gemini-3-pro");
        let filled = model(&[json!({"text": "well"}), call(Some(SKIP)), call(None)]);
        assert_eq!(contents, [user, own, filled, said]);
    }

    #[test]
    fn models_that_ask_for_no_signatures_get_none() {
        for (name, strict) in [
            ("gemini-2.5-flash", false),
            ("gemini-3-pro", true),
            ("gemini-10", true),
            ("gemini-flash-latest", true),
            ("gemma-3", false),
        ] {
            let mut contents = [model(&[call(None)])];
            stand_in(&mut contents, name);
            let is_filled = contents[0]["parts"][0].get("thoughtSignature").is_some();
            assert_eq!(is_filled, strict, "{name}");
        }
    }
}
