//! Joins all system messages into one at the beginning. The chat templates of many models refuse a second system message
//! and a system message at another position.

use serde_json::{Value, json};

/// The separator of joined system messages.
const SEPARATOR: &str = "\n\n";

/// Joins all system and developer messages into one system message at the beginning. Repeated content, such as content that
/// a client sends with every job, is written once.
pub(super) fn join_at_beginning(messages: Vec<Value>) -> Vec<Value> {
    let is_system = |message: &Value| message["role"] == "system" || message["role"] == "developer";
    let (system, others): (Vec<Value>, Vec<Value>) = messages.into_iter().partition(is_system);
    let mut contents: Vec<Value> = Vec::new();
    for mut message in system {
        let content = message["content"].take();
        if !contents.contains(&content) {
            contents.push(content);
        }
    }
    if contents.is_empty() {
        return others;
    }
    let first = json!({"role": "system", "content": join_contents(contents)});
    std::iter::once(first).chain(others).collect()
}

/// One text if all contents are texts, otherwise the parts of all contents.
fn join_contents(contents: Vec<Value>) -> Value {
    let texts: Option<Vec<String>> = contents.iter().map(text_of).collect();
    if let Some(texts) = texts {
        return texts.join(SEPARATOR).into();
    }
    let parts = contents.into_iter().flat_map(|content| match content {
        Value::Array(parts) => parts,
        text => vec![json!({"type": "text", "text": text})],
    });
    parts.collect()
}

/// The text of a message's content. `None` if the content has anything but plain text.
pub(super) fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts
            .iter()
            .map(|part| match part["text"].as_str() {
                Some(text) if part["type"] == "text" && part.get("extra_content").is_none() => {
                    Some(text)
                }
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::join_at_beginning;

    fn joined(messages: Value) -> Vec<Value> {
        let Value::Array(messages) = messages else {
            panic!("an array")
        };
        join_at_beginning(messages)
    }

    fn message(role: &str, content: impl Into<Value>) -> Value {
        json!({"role": role, "content": content.into()})
    }

    #[test]
    fn system_messages_at_any_position_become_one_at_the_beginning() {
        let sent = joined(json!([
            message("system", "Be brief."),
            message("developer", "In French."),
            message("user", "a"),
            message("assistant", "A"),
            message("system", "Be brief."),
            message("user", "b"),
        ]));
        let expected = [
            message("system", "Be brief.\n\nIn French."),
            message("user", "a"),
            message("assistant", "A"),
            message("user", "b"),
        ];
        assert_eq!(sent, expected);
    }

    #[test]
    fn messages_without_a_system_message_stay_as_they_are() {
        assert_eq!(
            joined(json!([message("user", "a")])),
            [message("user", "a")]
        );
    }

    #[test]
    fn contents_are_joined_as_text_if_all_their_parts_are_text() {
        let text = |text: &str| json!({"type": "text", "text": text});
        let image = json!({"type": "image_url", "image_url": {"url": "https://x.example/a.png"}});
        let texts = message("system", json!([text("a"), text("b")]));
        let sent = joined(json!([texts, message("system", "c")]));
        assert_eq!(sent, [message("system", "ab\n\nc")]);
        let with_image = message("developer", json!([text("b"), image]));
        let sent = joined(json!([message("system", "a"), with_image]));
        assert_eq!(
            sent,
            [message("system", json!([text("a"), text("b"), image]))]
        );
    }
}
