//! Reads the texts of a message: its text, its refusal and its reasoning.

use serde_json::Value;

use crate::provider::json_body;

/// The texts of a message. `None`: there is no such text.
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
pub(super) fn read(content: Option<&Value>, refusal: Option<&Value>) -> Texts {
    let parts = match content {
        Some(Value::Array(parts)) => parts.as_slice(),
        Some(part) => std::slice::from_ref(part),
        None => &[],
    };
    let refusals = parts.iter().map(|part| &part["refusal"]).chain(refusal);
    Texts {
        content: joined(parts.iter().filter_map(text_of_part)),
        refusal: joined(refusals.filter_map(Value::as_str).map(str::to_owned)),
        reasoning: joined(parts.iter().map(|part| texts_in(&part["thinking"]))),
    }
}

/// The text of a part. The content of some replies is one part or a value that the service has read from the text.
fn text_of_part(part: &Value) -> Option<String> {
    let Value::Object(fields) = part else {
        return match part {
            Value::Bool(value) => Some(value.to_string()),
            _ => json_body::text(part),
        };
    };
    match fields.get("type").map(Value::as_str) {
        None | Some(Some("text" | "output_text")) => fields.get("text").and_then(json_body::text),
        // Other parts, such as a model's reasoning, do not belong to the reply's text.
        Some(_) => None,
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

/// The texts as one; `None` if it is empty.
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
            (json!([{"type": "thinking", "text": "hm"}]), None),
            (json!([{"type": 1, "text": "hm"}]), None),
            (json!(null), None),
            (json!(""), None),
            (json!([]), None),
        ] {
            let texts = read(Some(&content), None);
            assert_eq!(texts.text().as_deref(), expected, "{content}");
        }
    }
}
