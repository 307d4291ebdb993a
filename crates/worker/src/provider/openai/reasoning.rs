//! Keeps the reasoning of replies that call tools, and sends it back together with the tool results, which some providers require. Also
//! reads reasoning as text.
//!
//! DeepSeek refuses a conversation whose tool calls have lost their `reasoning_content`. OpenRouter passes
//! `reasoning_details` (signatures and encrypted reasoning) on to models that reason between calls.
//! Both fields are stored unchanged in the turn's `extra_content`, under the key `forebay`, together with
//! the provider's name.
//!
//! - The fields are sent back only to the provider that returned them. Other providers refuse unknown fields; Groq and
//!   Mistral are known to refuse these.
//! - The fields are stored only for replies that call tools, which the caller checks. DeepSeek ignores them in other replies, and its first
//!   reasoning model refused them there. The fields are also long.
//! - The field `reasoning` is a text for people and is not stored. Providers that return it either accept
//!   `reasoning_details` instead, or refuse `reasoning`.
//!
//! The stored fields need no limit of their own. They count towards the limit on the size of a response and towards the
//! limits of the session.

use serde_json::{Map, Value, json};

use super::content;
use crate::provider::{json_body, origin};

/// The fields that are stored and sent back.
const FIELDS: [&str; 2] = ["reasoning_content", "reasoning_details"];

/// Moves [`FIELDS`] from a message that `provider` returned into the turn's `extra_content`.
pub(super) fn store(
    extra_content: Option<Value>,
    provider: &str,
    message: &mut Value,
) -> Option<Value> {
    let mut stored = json!({"provider": provider});
    let mut is_empty = true;
    for name in FIELDS {
        let value = json_body::take(message, name);
        if !value.is_null() {
            stored[name] = value;
            is_empty = false;
        }
    }
    if is_empty {
        return extra_content;
    }
    let mut merged = match extra_content {
        Some(Value::Object(fields)) => fields,
        // Nothing, or a value of another type, which no known provider returns.
        _ => Map::new(),
    };
    merged.insert(origin::KEY.into(), stored);
    Some(Value::Object(merged))
}

/// The reasoning of a message, as text. Services return it in fields with different names and forms.
pub(super) fn text(message: &Value) -> Option<String> {
    let details = message["reasoning_details"]
        .as_array()
        .into_iter()
        .flatten();
    let text_of_detail = |detail: &Value| {
        let mut fields = ["text", "summary"].iter().map(|name| &detail[*name]);
        fields.find_map(Value::as_str).map(str::to_owned)
    };
    let texts = [
        content::texts_in(&message["reasoning_content"]),
        content::texts_in(&message["reasoning"]),
        details.filter_map(text_of_detail).collect(),
    ];
    texts.into_iter().find(|text| !text.trim().is_empty())
}

/// Removes Forebay's key from a message's `extra_content`. If the reasoning that is stored there came from
/// `provider`, [`FIELDS`] are moved back into the message.
pub(super) fn restore(message: &mut Value, provider: &str) {
    let Some(extra) = message
        .get_mut("extra_content")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let Some(mut stored) = extra.remove(origin::KEY) else {
        return;
    };
    let is_empty = extra.is_empty();
    if let Some(message) = message.as_object_mut().filter(|_| is_empty) {
        message.remove("extra_content");
    }
    if stored["provider"] != provider {
        return;
    }
    for name in FIELDS {
        if let Some(value) = stored.get_mut(name) {
            message[name] = value.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{restore, store};

    fn stored(returned: &Value) -> Option<Value> {
        store(None, "a", &mut returned.clone())
    }

    fn restored(extra_content: &Value, provider: &str) -> Value {
        let mut message = json!({"role": "assistant", "extra_content": extra_content});
        restore(&mut message, provider);
        message
    }

    #[test]
    fn only_the_provider_that_returned_reasoning_gets_it_back_unchanged() {
        let returned = json!({
            "reasoning_content": "",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]
        });
        let extra = stored(&returned).expect("something is stored");
        let mut expected = returned;
        expected["role"] = "assistant".into();
        assert_eq!(restored(&extra, "a"), expected);
        assert_eq!(restored(&extra, "b"), json!({"role": "assistant"}));
    }

    #[test]
    fn other_fields_are_not_stored() {
        assert_eq!(
            stored(&json!({"reasoning_content": null, "reasoning": "x", "audio": {}})),
            None
        );
    }

    #[test]
    fn other_extra_content_stays() {
        let google = json!({"google": {"thought_signature": "A"}});
        let mut returned = json!({"reasoning_content": "x"});
        let extra = store(Some(google.clone()), "a", &mut returned).expect("something is stored");
        let sent = restored(&extra, "a");
        assert_eq!(sent["extra_content"], google);
        assert_eq!(sent["reasoning_content"], "x");
        assert_eq!(restored(&extra, "b")["extra_content"], google);
        assert_eq!(
            store(Some(google.clone()), "a", &mut json!({})),
            Some(google)
        );
    }

    #[test]
    fn extra_content_of_an_unknown_form_is_ignored() {
        for extra in [
            json!({"forebay": 1}),
            json!({"forebay": {"provider": "a", "role": "system"}}),
        ] {
            assert_eq!(
                restored(&extra, "a"),
                json!({"role": "assistant"}),
                "{extra}"
            );
        }
        assert_eq!(restored(&json!("x"), "a")["extra_content"], "x");
    }
}
