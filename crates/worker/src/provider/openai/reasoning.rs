//! Keeps the reasoning that a provider requires back with the results of the tools that it calls.
//!
//! DeepSeek refuses a conversation that returns tool calls without their `reasoning_content`. OpenRouter
//! passes `reasoning_details` (signatures and encrypted reasoning) on to models that reason between calls.
//! Both fields are stored unchanged in the turn's `extra_content`, under the key `forebay`, together with
//! the provider's name.
//!
//! - Only the provider that returned them gets them back. Others refuse unknown fields, Groq and Mistral
//!   these ones.
//! - Only replies that call tools keep them. DeepSeek ignores them in other replies, its first reasoning
//!   model refused them there, and they are long.
//! - `reasoning`, a text for people, is not kept. A provider that returns it takes `reasoning_details`
//!   instead, or refuses it.
//!
//! They need no bound of their own. The limit on an answer's size and the bounds of the session include
//! them.

use serde_json::{Map, Value, json};

/// The fields that are sent back.
const FIELDS: [&str; 2] = ["reasoning_content", "reasoning_details"];

/// The key in a turn's `extra_content` under which they are stored.
const EXTRA_CONTENT_KEY: &str = "forebay";

/// Adds the reasoning that `provider` returned to the turn's `extra_content`. `returned` holds fields of
/// the message by name; fields that are not sent back are ignored.
pub(super) fn keep(
    extra_content: Option<Value>,
    provider: &str,
    mut returned: Map<String, Value>,
) -> Option<Value> {
    returned.retain(|name, value| FIELDS.contains(&name.as_str()) && !value.is_null());
    if returned.is_empty() {
        return extra_content;
    }
    let mut kept = json!({"provider": provider});
    for (name, value) in returned {
        kept[name] = value;
    }
    let mut all = match extra_content {
        Some(Value::Object(all)) => all,
        // No known provider returns anything but an object here.
        _ => Map::new(),
    };
    all.insert(EXTRA_CONTENT_KEY.into(), kept);
    Some(Value::Object(all))
}

/// Removes the stored reasoning from a message's `extra_content`. If `provider` returned it, it becomes part
/// of the message again.
pub(super) fn restore(message: &mut Value, provider: &str) {
    let Some(extra) = message
        .get_mut("extra_content")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let Some(mut kept) = extra.remove(EXTRA_CONTENT_KEY) else {
        return;
    };
    let is_empty = extra.is_empty();
    if let Some(message) = message.as_object_mut().filter(|_| is_empty) {
        message.remove("extra_content");
    }
    if kept["provider"] != provider {
        return;
    }
    for name in FIELDS {
        if let Some(value) = kept.get_mut(name) {
            message[name] = value.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{keep, restore};

    fn kept(returned: &Value) -> Option<Value> {
        keep(None, "a", returned.as_object().expect("an object").clone())
    }

    fn restored(extra_content: &Value, provider: &str) -> Value {
        let mut message = json!({"role": "assistant", "extra_content": extra_content});
        restore(&mut message, provider);
        message
    }

    #[test]
    fn only_the_provider_that_returned_it_gets_it_back_unchanged() {
        let returned = json!({
            "reasoning_content": "",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]
        });
        let extra = kept(&returned).expect("something is kept");
        let mut expected = returned;
        expected["role"] = "assistant".into();
        assert_eq!(restored(&extra, "a"), expected);
        assert_eq!(restored(&extra, "b"), json!({"role": "assistant"}));
    }

    #[test]
    fn other_fields_are_not_kept() {
        assert_eq!(
            kept(&json!({"reasoning_content": null, "reasoning": "x", "audio": {}})),
            None
        );
    }

    #[test]
    fn other_extra_content_stays() {
        let google = json!({"google": {"thought_signature": "A"}});
        let returned = json!({"reasoning_content": "x"});
        let returned = returned.as_object().expect("an object").clone();
        let extra = keep(Some(google.clone()), "a", returned).expect("something is kept");
        let sent = restored(&extra, "a");
        assert_eq!(sent["extra_content"], google);
        assert_eq!(sent["reasoning_content"], "x");
        assert_eq!(restored(&extra, "b")["extra_content"], google);
        assert_eq!(
            keep(Some(google.clone()), "a", serde_json::Map::new()),
            Some(google)
        );
    }

    #[test]
    fn extra_content_that_a_client_made_up_is_ignored() {
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
