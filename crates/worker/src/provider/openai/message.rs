//! Writes one turn as a message. A turn almost has the form of a message. Parts that strict servers refuse are replaced:
//!
//! - A reply always has the key `content`. A reply without text and tool calls gets a placeholder as its text. The reply
//!   is not left out, because some servers refuse a user message that follows another user message or a tool result.
//! - The arguments of a tool call are a JSON object, and its name has only allowed characters.
//! - The texts of a tool result are one text.
//! - The type of an image has its registered name.
//! - Data that another provider attached to the turn is left out.

use forebay_shared::turn::{Content, Part, Role, ToolKind, Turn};
use serde_json::{Map, Value};

use super::{
    dialect::{Dialect, ExtraContent},
    known_fields, reasoning,
    system::text_of,
};
use crate::provider::{Failure, image_type, json_body, origin, tool_arguments, tool_name};

/// The key of Google's data in an `extra_content`.
const GOOGLE_KEY: &str = "google";

/// The text of a reply that has neither text nor tool calls.
const NO_REPLY: &str = "(no reply)";

/// The message of a turn for the provider named `provider`.
///
/// # Errors
/// `invalid_request` when the turn has no JSON form.
pub(super) fn write(turn: &Turn, dialect: Dialect, provider: &str) -> Result<Value, Failure> {
    let mut message = json_body::to_value(turn)?;
    known_fields::remove_unknown_in_message(turn, &mut message);
    select_extra_content(turn, dialect, provider, &mut message);
    reasoning::restore(&mut message, provider);
    use_registered_image_types(turn, &mut message);
    match turn.role {
        Role::Assistant => complete_reply(turn, &mut message),
        Role::Tool => join_texts(&mut message),
        _ => {}
    }
    Ok(message)
}

/// Removes the `extra_content` that the service must not get.
fn select_extra_content(turn: &Turn, dialect: Dialect, provider: &str, message: &mut Value) {
    let origin = origin::provider_of(turn);
    let is_sent: fn(&str) -> bool = match dialect.extra_content {
        ExtraContent::OfThisProvider if origin.is_none_or(|origin| origin == provider) => return,
        ExtraContent::OfThisProvider | ExtraContent::Never => |_| false,
        ExtraContent::Google if origin == Some(provider) => return,
        ExtraContent::Google => |key| key == GOOGLE_KEY,
    };
    let select = |fields: &mut Map<String, Value>| {
        if let Some(Value::Object(extra)) = fields.get_mut("extra_content") {
            extra.retain(|key, _| is_sent(key));
            if !extra.is_empty() {
                return;
            }
        }
        fields.remove("extra_content");
    };
    for list in ["tool_calls", "content"] {
        let elements = message.get_mut(list).and_then(Value::as_array_mut);
        let elements = elements.into_iter().flatten();
        elements.filter_map(Value::as_object_mut).for_each(select);
    }
    message.as_object_mut().into_iter().for_each(select);
}

/// Joins the texts of a tool result, because some servers accept only a string.
fn join_texts(message: &mut Value) {
    if let Some(text) = text_of(&message["content"]) {
        message["content"] = text.into();
    }
}

/// Gives the type of each image its registered name.
fn use_registered_image_types(turn: &Turn, message: &mut Value) {
    let Some(Content::Parts(parts)) = &turn.content else {
        return;
    };
    for (index, part) in parts.iter().enumerate() {
        if let Part::ImageUrl { image_url, .. } = part
            && let Some(url) = image_type::renamed_in_url(&image_url.url)
        {
            message["content"][index]["image_url"]["url"] = url.into();
        }
    }
}

/// Completes the content and the tool calls of a reply.
fn complete_reply(turn: &Turn, message: &mut Value) {
    // Some servers accept only a string as the content of a reply.
    let content = message.get("content").cloned().unwrap_or_default();
    let content = text_of(&content).map_or(content, Value::String);
    let has_text =
        !content.is_null() && content.as_str().is_none_or(|text| !text.trim().is_empty());
    message["content"] = if has_text || !turn.tool_calls.is_empty() {
        content
    } else {
        NO_REPLY.into()
    };
    for (index, call) in turn.tool_calls.iter().enumerate() {
        if call.kind == ToolKind::Function {
            let function = &mut message["tool_calls"][index]["function"];
            function["name"] = tool_name::to_allowed(&call.function.name, "").into();
            function["arguments"] = arguments(&call.function.arguments).into();
        }
    }
}

/// The arguments as the text of a JSON object. Arguments that are already an object stay unchanged. Arguments that cannot be
/// read as an object become an empty object.
fn arguments(arguments: &str) -> String {
    match serde_json::from_str::<Map<String, Value>>(arguments) {
        Ok(_) => arguments.to_owned(),
        Err(_) => Value::Object(tool_arguments::object(arguments).unwrap_or_default()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::turn::Turn;
    use serde_json::{Value, json};

    use super::{arguments, write};
    use crate::provider::openai::dialect::{Dialect, ExtraContent};

    fn message(turn: &Value, dialect: Dialect) -> Value {
        let turn: Turn = serde_json::from_value(turn.clone()).expect("a turn");
        write(&turn, dialect, "a").expect("the turn can be sent")
    }

    fn call(name: &str, arguments: &str) -> Value {
        json!({"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}})
    }

    #[test]
    fn the_arguments_of_a_call_are_a_json_object() {
        for (written, sent) in [
            (r#"{ "a": 1 }"#, r#"{ "a": 1 }"#),
            ("", "{}"),
            ("null", "{}"),
            (r#"{"a": "cut o"#, "{}"),
            ("[1]", "{}"),
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
            (r#"{"a":1}{"a":1}"#, "{}"),
        ] {
            assert_eq!(arguments(written), sent);
        }
    }

    #[test]
    fn calls_have_a_content_key_an_allowed_name_and_readable_arguments() {
        let turn =
            json!({"role": "assistant", "tool_calls": [call("a.b c", "x"), call("f", "{}")]});
        for dialect in [Dialect::OPENAI, Dialect::COMPATIBLE] {
            let expected = json!({
                "role": "assistant",
                "content": null,
                "tool_calls": [call("a_b_c", "{}"), call("f", "{}")]
            });
            assert_eq!(message(&turn, dialect), expected);
        }
    }

    #[test]
    fn a_reply_without_text_and_calls_gets_a_placeholder() {
        let empty_part = json!([{"type": "text", "text": ""}]);
        for content in [Value::Null, json!(""), json!(" \n"), json!([]), empty_part] {
            for dialect in [Dialect::OPENAI, Dialect::COMPATIBLE] {
                let sent = message(&json!({"role": "assistant", "content": content}), dialect);
                let expected = json!({"role": "assistant", "content": "(no reply)"});
                assert_eq!(sent, expected, "{content}");
            }
        }
    }

    #[test]
    fn the_text_of_a_reply_with_calls_stays() {
        let turn =
            json!({"role": "assistant", "content": "Let me see.", "tool_calls": [call("f", "{}")]});
        assert_eq!(message(&turn, Dialect::COMPATIBLE), turn);
    }

    #[test]
    fn the_texts_of_a_reply_in_parts_are_joined() {
        let part = |text: &str| json!({"type": "text", "text": text, "extra_content": {"google": {"thought_signature": "S"}}});
        let mut turn = json!({"role": "assistant", "content": [part("a"), part("b")],
            "extra_content": {"forebay": {"provider": "b"}}});
        let expected = json!({"role": "assistant", "content": "ab"});
        assert_eq!(message(&turn, Dialect::COMPATIBLE), expected);
        assert_eq!(message(&turn, Dialect::OPENAI), expected);
        turn["extra_content"]["forebay"]["provider"] = "a".into();
        assert_eq!(
            message(&turn, Dialect::COMPATIBLE),
            json!({"role": "assistant", "content": [part("a"), part("b")]})
        );
    }

    #[test]
    fn extra_content_of_another_provider_is_not_sent() {
        let signature = json!({"thought_signature": "S"});
        let mut call = call("f", "{}");
        call["extra_content"] = json!({"google": signature});
        let turn = json!({"role": "assistant", "tool_calls": [call],
            "extra_content": {"google": signature, "forebay": {"provider": "gemini", "reasoning_content": "hm"}}});
        let sent = message(&turn, Dialect::COMPATIBLE).to_string();
        assert!(
            !sent.contains("extra_content") && !sent.contains("hm"),
            "{sent}"
        );

        let google = Dialect {
            extra_content: ExtraContent::Google,
            ..Dialect::COMPATIBLE
        };
        let mut turn = turn;
        turn["extra_content"]["other"] = json!("data");
        turn["tool_calls"][0]["extra_content"]["other"] = json!("data");
        let sent = message(&turn, google);
        let expected = json!({"google": signature});
        assert_eq!(sent["tool_calls"][0]["extra_content"], expected);
        assert_eq!(sent["extra_content"], json!({"google": signature}));
    }

    #[test]
    fn the_texts_of_a_tool_result_are_joined() {
        let part = |text: &str| json!({"type": "text", "text": text});
        let image = json!({"type": "image_url", "image_url": {"url": "https://x.example/a.png"}});
        for (content, sent) in [
            (json!([part("a"), part("b")]), json!("ab")),
            (json!([part("a"), image]), json!([part("a"), image])),
            (json!(""), json!("")),
        ] {
            let result =
                |content: Value| json!({"role": "tool", "tool_call_id": "1", "content": content});
            for dialect in [Dialect::OPENAI, Dialect::COMPATIBLE] {
                assert_eq!(
                    message(&result(content.clone()), dialect),
                    result(sent.clone())
                );
            }
        }
    }

    #[test]
    fn images_have_their_registered_type() {
        let turn = |url: &str| json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]});
        let sent = message(&turn("data:image/jpg;base64,AAAA"), Dialect::COMPATIBLE);
        assert_eq!(sent, turn("data:image/jpeg;base64,AAAA"));
        let address = turn("https://x.example/a.jpg");
        assert_eq!(message(&address, Dialect::COMPATIBLE), address);
    }
}
