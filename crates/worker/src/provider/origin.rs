//! Marks turns with the provider that returned them. The tool call ids of one provider, and the data that it wants back
//! with a turn, must not be sent to another provider.
//!
//! The mark is part of the turn's `extra_content`, under a key of Forebay's own. Only turns with tool calls or with data
//! of their provider get one.

use forebay_shared::turn::{Content, Part, Turn};
use serde_json::json;

/// The key in a turn's `extra_content` under which Forebay stores data of its own.
pub(crate) const KEY: &str = "forebay";

/// Marks a turn that `provider` returned.
pub(crate) fn mark(turn: &mut Turn, provider: &str) {
    // Only an object can have a mark.
    turn.extra_content.take_if(|extra| !extra.is_object());
    if turn.tool_calls.is_empty() && !has_extra_content(turn) {
        return;
    }
    let extra = turn.extra_content.get_or_insert_with(|| json!({}));
    if !extra[KEY].is_object() {
        extra[KEY] = json!({});
    }
    extra[KEY]["provider"] = provider.into();
}

/// The provider that returned the turn. `None`: the turn has no mark, as when a client sent it.
pub(crate) fn provider_of(turn: &Turn) -> Option<&str> {
    turn.extra_content
        .as_ref()?
        .get(KEY)?
        .get("provider")?
        .as_str()
}

fn has_extra_content(turn: &Turn) -> bool {
    let in_part = |part: &Part| {
        matches!(
            part,
            Part::Text {
                extra_content: Some(_),
                ..
            }
        )
    };
    turn.extra_content.is_some()
        || matches!(&turn.content, Some(Content::Parts(parts)) if parts.iter().any(in_part))
}

#[cfg(test)]
mod tests {
    use forebay_shared::turn::Turn;
    use serde_json::{Value, json};

    use super::{mark, provider_of};

    fn marked(turn: Value) -> Turn {
        let mut turn: Turn = serde_json::from_value(turn).expect("the turn is valid");
        mark(&mut turn, "a");
        turn
    }

    #[test]
    fn turns_with_calls_or_data_of_their_provider_are_marked() {
        let call =
            json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        for turn in [
            json!({"role": "assistant", "tool_calls": [call]}),
            json!({"role": "assistant", "content": "x", "extra_content": {"google": {"thought_signature": "S"}}}),
            json!({"role": "assistant", "content": [{"type": "text", "text": "x", "extra_content": {"s": 1}}]}),
        ] {
            assert_eq!(provider_of(&marked(turn)), Some("a"));
        }
    }

    #[test]
    fn turns_without_calls_or_data_get_no_mark() {
        for extra in [Value::Null, json!(7), json!(["x"])] {
            let turn = json!({"role": "assistant", "content": "x", "extra_content": extra});
            let after = marked(turn);
            assert_eq!(provider_of(&after), None);
            assert_eq!(after.extra_content, None);
        }
    }

    #[test]
    fn a_provider_cannot_set_the_mark_and_other_data_stays() {
        for mark in [json!({"provider": "b"}), json!("b"), json!(null)] {
            let extra = json!({"forebay": mark, "x": 1});
            let after =
                marked(json!({"role": "assistant", "content": "x", "extra_content": extra}));
            let expected = json!({"forebay": {"provider": "a"}, "x": 1});
            assert_eq!(after.extra_content, Some(expected));
        }
        let reasoning = json!({"forebay": {"provider": "a", "reasoning_content": "hm"}});
        let turn = json!({"role": "assistant", "content": "x", "extra_content": reasoning});
        assert_eq!(marked(turn).extra_content, Some(reasoning));
    }
}
