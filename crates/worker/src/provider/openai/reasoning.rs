//! What a reasoning model's server wants back of a reply that calls tools.
//!
//! DeepSeek refuses a conversation whose tool calls come back without the `reasoning_content` that it gave
//! with them, and OpenRouter passes `reasoning_details` (signatures and encrypted thoughts among them) on
//! to models that think between calls. Both are kept in the turn's `extra_content`, under a key of our
//! own, with the provider's name, and go back as they came.
//!
//! - To that provider only: others refuse fields that they do not know (Groq and Mistral these very ones).
//! - Of replies that call tools only: of others DeepSeek ignores it (its first reasoning model refused it),
//!   and thoughts are long.
//! - `reasoning`, a text for people, is not kept: who sends it either takes `reasoning_details` instead or
//!   refuses it.
//!
//! They have no bound of their own. They came within the one on an answer, and the session's own bounds
//! count them.

use serde_json::{Map, Value, json};

/// The fields that go back.
const FIELDS: [&str; 2] = ["reasoning_content", "reasoning_details"];

/// Where they are kept in a turn's `extra_content`.
const KEY: &str = "forebay";

/// What a server gave besides a reply, by the fields' names.
pub(super) type Given = Map<String, Value>;

/// The turn's `extra_content` with what this provider gave, or as it was when there is nothing to keep.
pub(super) fn keep(
    extra_content: Option<Value>,
    provider: &str,
    mut given: Given,
) -> Option<Value> {
    given.retain(|name, value| FIELDS.contains(&name.as_str()) && !value.is_null());
    if given.is_empty() {
        return extra_content;
    }
    let mut kept = json!({"provider": provider});
    for (name, value) in given {
        kept[name] = value;
    }
    let mut all = match extra_content {
        Some(Value::Object(all)) => all,
        // Nobody is known to send anything but an object here.
        _ => Map::new(),
    };
    all.insert(KEY.into(), kept);
    Some(Value::Object(all))
}

/// Takes what is kept out of a message's `extra_content`, and puts it where this provider wants it if it
/// was this one that gave it.
pub(super) fn give_back(message: &mut Value, provider: &str) {
    let Some(extra) = message
        .get_mut("extra_content")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let Some(mut kept) = extra.remove(KEY) else {
        return;
    };
    let nothing_is_left = extra.is_empty();
    if let Some(message) = message.as_object_mut().filter(|_| nothing_is_left) {
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

    use super::{give_back, keep};

    fn kept(given: &Value) -> Option<Value> {
        keep(None, "a", given.as_object().expect("an object").clone())
    }

    fn given_back(extra_content: &Value, provider: &str) -> Value {
        let mut message = json!({"role": "assistant", "extra_content": extra_content});
        give_back(&mut message, provider);
        message
    }

    #[test]
    fn it_goes_back_as_it_came_to_who_gave_it_only() {
        let given = json!({
            "reasoning_content": "",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]
        });
        let extra = kept(&given).expect("something to keep");
        let mut expected = given;
        expected["role"] = "assistant".into();
        assert_eq!(given_back(&extra, "a"), expected);
        assert_eq!(given_back(&extra, "b"), json!({"role": "assistant"}));
    }

    #[test]
    fn nothing_else_is_kept() {
        assert_eq!(
            kept(&json!({"reasoning_content": null, "reasoning": "x", "audio": {}})),
            None
        );
    }

    #[test]
    fn what_else_is_there_stays() {
        let google = json!({"google": {"thought_signature": "A"}});
        let given = json!({"reasoning_content": "x"});
        let given = given.as_object().expect("an object").clone();
        let extra = keep(Some(google.clone()), "a", given).expect("something to keep");
        let sent = given_back(&extra, "a");
        assert_eq!(sent["extra_content"], google);
        assert_eq!(sent["reasoning_content"], "x");
        assert_eq!(given_back(&extra, "b")["extra_content"], google);
        assert_eq!(
            keep(
                Some(google.clone()),
                "a",
                json!({}).as_object().expect("").clone()
            ),
            Some(google)
        );
    }

    #[test]
    fn what_a_client_made_up_does_no_harm() {
        for extra in [
            json!({"forebay": 1}),
            json!({"forebay": {"provider": "a", "role": "system"}}),
        ] {
            assert_eq!(
                given_back(&extra, "a"),
                json!({"role": "assistant"}),
                "{extra}"
            );
        }
        assert_eq!(given_back(&json!("x"), "a")["extra_content"], "x");
    }
}
