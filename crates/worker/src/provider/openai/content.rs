//! Reads the texts of a message: its text, its refusal and its reasoning.

use serde_json::Value;

use crate::provider::json_body;

/// The texts of a message. A text that the message does not have is `None`.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The text of the content.
    content: Option<String>,
    /// The text with which the model refuses to reply.
    pub(super) refusal: Option<String>,
    /// The reasoning among the parts of the content.
    pub(super) reasoning: Option<String>,
}

impl Texts {
    /// The text of the reply: the content, the refusal, or both.
    pub(super) fn text(&self) -> Option<String> {
        match (&self.content, &self.refusal) {
            (Some(content), Some(refusal)) if content != refusal => {
                Some(format!("{content}\n\n{refusal}"))
            }
            (content, refusal) => content.as_ref().or(refusal.as_ref()).cloned(),
        }
    }
}

/// Reads the `content` of a message and its `refusal`.
pub(super) fn read(content: &Value, refusal: &Value) -> Texts {
    let parts = match content {
        Value::Array(parts) => parts.as_slice(),
        part => std::slice::from_ref(part),
    };
    let refusals = parts.iter().map(|part| &part["refusal"]).chain([refusal]);
    Texts {
        content: if parts.is_empty() || parts.iter().any(is_part) {
            joined(parts.iter().filter_map(text_of_part))
        } else {
            // Some services parse the JSON that the model writes, and return it as the content.
            Some(content.to_string())
        },
        refusal: joined(refusals.filter_map(Value::as_str).map(str::to_owned)),
        reasoning: joined(parts.iter().map(|part| texts_in(&part["thinking"]))),
    }
}

/// Whether a value has the form of a part: null, a text, an empty object, or an object with one of a part's fields.
fn is_part(value: &Value) -> bool {
    match value {
        Value::Null | Value::String(_) => true,
        Value::Object(fields) => {
            let part_fields = ["type", "text", "refusal", "thinking"];
            fields.is_empty() || part_fields.iter().any(|name| fields.contains_key(*name))
        }
        _ => false,
    }
}

fn text_of_part(part: &Value) -> Option<String> {
    match &part["type"] {
        Value::Null => json_body::text(part).or_else(|| json_body::text(&part["text"])),
        kind if kind == "text" || kind == "output_text" => json_body::text(&part["text"]),
        // Other parts, such as a model's reasoning, do not belong to the reply's text.
        _ => None,
    }
}

/// A text, or the texts of a list of parts.
pub(super) fn texts_in(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

/// Joins the texts. `None` if they are all empty.
fn joined(texts: impl Iterator<Item = String>) -> Option<String> {
    let text: String = texts.collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

    #[test]
    fn a_content_is_read_in_any_form() {
        for (content, expected) in [
            (json!("a"), Some("a")),
            (
                json!([{"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}]),
                Some("ab"),
            ),
            (json!([{"text": "a"}]), Some("a")),
            (json!(["a", "b"]), Some("ab")),
            (json!({"type": "text", "text": "a"}), Some("a")),
            (json!(42), Some("42")),
            (json!(true), Some("true")),
            (json!({"answer": 4}), Some(r#"{"answer":4}"#)),
            (
                json!([{"answer": 4}, {"answer": 5}]),
                Some(r#"[{"answer":4},{"answer":5}]"#),
            ),
            (json!([1, 2]), Some("[1,2]")),
            (json!([{"type": null, "text": "a"}]), Some("a")),
            (json!([{"text": "a"}, null, {"x": 1}]), Some("a")),
            (json!([{"type": "thinking", "text": "hm"}]), None),
            (json!([{"type": 1, "text": "hm"}]), None),
            (json!(null), None),
            (json!(""), None),
            (json!([]), None),
            (json!({}), None),
            (json!([{}]), None),
        ] {
            let texts = read(&content, &json!(null));
            assert_eq!(texts.text().as_deref(), expected, "{content}");
        }
    }
}
