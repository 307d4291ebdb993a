//! Reads the parts of a reply in Gemini's form: texts, function calls and thoughts. Other parts are refused.

use forebay_shared::{
    document::UnknownFields,
    turn::{Content, Part, ToolCall},
};
use serde_json::Value;

use super::signature;
use crate::provider::{
    Failure, Retry, json_body,
    returned_call::{self, ReturnedCall},
};

/// Fields of a part that are read elsewhere, or that only describe the part.
const KNOWN_FIELDS: [&str; 7] = [
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "partMetadata",
    "mediaResolution",
    "videoMetadata",
];

/// The most characters of a field's name that an error message shows.
const NAME_CHARS_MAX: usize = 60;

/// The content of the parts.
#[derive(Debug)]
pub(super) struct ReplyParts {
    /// The text.
    pub(super) content: Option<Content>,
    /// The signature of the text, if it has only one part.
    pub(super) extra_content: Option<Value>,
    /// The function calls.
    pub(super) tool_calls: Vec<ToolCall>,
    /// The summaries of the model's thoughts.
    pub(super) thoughts: Option<String>,
}

/// A text and the signature that must be sent back with it.
struct SignedText {
    text: String,
    signature: Option<String>,
}

/// Reads the parts. `generate_id` makes the id of a function call that has none of its own. Its argument is the index of the
/// call.
///
/// # Errors
/// `unsupported_response` for a part whose content a turn cannot hold. Without the part, the reply and every later context
/// would be incomplete, and no one would notice. `invalid_response` if the reply consists of function calls without names.
pub(super) fn read(
    parts: Vec<Value>,
    generate_id: impl Fn(usize) -> String,
) -> Result<ReplyParts, Failure> {
    let mut texts: Vec<SignedText> = Vec::new();
    let mut calls = Vec::new();
    let mut thoughts = String::new();
    let mut unsupported_name = None;
    for mut part in parts {
        let text = json_body::text(&part["text"]);
        let signature = part["thoughtSignature"].as_str().map(str::to_owned);
        let function = json_body::take(&mut part, "functionCall");
        if function.is_object() {
            calls.push(returned_call(function, signature));
        } else if part["thought"] == true {
            // A summary of thoughts is not part of the reply.
            thoughts.push_str(&text.unwrap_or_default());
        } else if let Some(name) = unsupported_field(&part).filter(|_| text.is_none()) {
            unsupported_name.get_or_insert_with(|| name.to_owned());
        } else {
            add_text(&mut texts, text.unwrap_or_default(), signature);
        }
    }
    let has_text = texts.iter().any(|text| !text.text.trim().is_empty());
    let (content, extra_content) = content(texts);
    if let Some(name) = unsupported_name {
        let text = content
            .filter(|_| has_text)
            .map(|content| content.to_text());
        return Err(unsupported_response(&name).with_detail(text));
    }
    Ok(ReplyParts {
        content,
        extra_content,
        tool_calls: returned_call::complete(calls, has_text, generate_id)?,
        thoughts: (!thoughts.is_empty()).then_some(thoughts),
    })
}

fn returned_call(mut function: Value, signature: Option<String>) -> ReturnedCall {
    let arguments = match json_body::take(&mut function, "args") {
        Value::Null => String::from("{}"),
        arguments => arguments.to_string(),
    };
    ReturnedCall {
        id: json_body::text(&function["id"]),
        name: json_body::text(&function["name"]),
        arguments,
        extra_content: signature::to_extra_content(signature),
    }
}

/// The name of the first field whose content a turn cannot hold.
fn unsupported_field(part: &Value) -> Option<&str> {
    let mut fields = part.as_object()?.iter();
    let field =
        fields.find(|(name, value)| !value.is_null() && !KNOWN_FIELDS.contains(&name.as_str()));
    field.map(|(name, _)| name.as_str())
}

fn unsupported_response(name: &str) -> Failure {
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    Failure::new(
        "unsupported_response",
        format!("Gemini's answer has a part of the kind {name}, which Forebay does not support"),
        Retry::Never,
    )
}

/// Appends a text. If neither this text nor the last one has a signature, the two are joined.
fn add_text(texts: &mut Vec<SignedText>, text: String, signature: Option<String>) {
    if text.is_empty() && signature.is_none() {
        return;
    }
    match (texts.last_mut(), &signature) {
        (Some(last), None) if last.signature.is_none() => last.text.push_str(&text),
        _ => texts.push(SignedText { text, signature }),
    }
}

/// The turn's content and `extra_content`. Several texts become parts, each with its own signature. The
/// signature of a single text belongs to the turn.
fn content(mut texts: Vec<SignedText>) -> (Option<Content>, Option<Value>) {
    match texts.len() {
        0 => (None, None),
        1 => {
            let SignedText { text, signature } = texts.remove(0);
            let content = (!text.is_empty()).then_some(Content::Text(text));
            (content, signature::to_extra_content(signature))
        }
        _ => {
            let parts = texts
                .into_iter()
                .map(|SignedText { text, signature }| Part::Text {
                    text,
                    extra_content: signature::to_extra_content(signature),
                    unknown: UnknownFields::NONE,
                });
            (Some(Content::Parts(parts.collect())), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ReplyParts, read};
    use crate::provider::{Failure, Retry};

    fn read_parts(parts: Value) -> Result<ReplyParts, Failure> {
        let parts = serde_json::from_value(parts).expect("parts");
        read(parts, |index| format!("generated {index}"))
    }

    #[test]
    fn the_error_names_content_that_a_turn_cannot_hold() {
        for (kind, value) in [
            ("inlineData", json!({"mimeType": "image/png", "data": "AA"})),
            ("fileData", json!({"fileUri": "gs://x/y"})),
            (
                "executableCode",
                json!({"language": "PYTHON", "code": "print(1)"}),
            ),
            (
                "codeExecutionResult",
                json!({"outcome": "OUTCOME_OK", "output": "1"}),
            ),
            ("functionResponse", json!({"name": "f", "response": {}})),
            ("toolCall", json!({"toolType": "GOOGLE_SEARCH_WEB"})),
            ("unknownKind", json!(7)),
        ] {
            let mut part = json!({"thoughtSignature": "S"});
            part[kind] = value;
            let all = json!([{"text": "Let me see."}, part, {"text": "It is 1."}]);
            let failure = read_parts(all).expect_err("the part is refused");
            assert_eq!(failure.error.code, "unsupported_response", "{kind}");
            assert_eq!(failure.retry, Retry::Never, "{kind}");
            assert!(failure.error.message.contains(kind), "{failure}");
            let text = failure.error.detail.as_deref();
            assert_eq!(text, Some("Let me see.It is 1."), "{kind}");
        }
    }

    #[test]
    fn unknown_fields_of_a_text_and_invalid_parts_are_ignored() {
        for part in [
            json!({"text": "a", "partMetadata": {"x": 1}, "mediaResolution": {}, "videoMetadata": {}}),
            json!({"text": "a", "executableCode": null, "inlineData": null}),
            json!({"text": "a", "unknownField": {"x": 1}}),
        ] {
            let reply = read_parts(json!([part, null, "x", {}])).expect("a reply");
            let text = reply.content.map(|content| content.to_text());
            assert_eq!(text.as_deref(), Some("a"), "{part}");
        }
    }

    #[test]
    fn thoughts_are_not_part_of_the_reply() {
        let all = json!([
            {"text": "I had better compute it", "thought": true},
            {"executableCode": {"code": "print(1)"}, "thought": true},
            {"text": "a"}
        ]);
        let reply = read_parts(all).expect("a reply");
        let text = reply.content.map(|content| content.to_text());
        assert_eq!(text.as_deref(), Some("a"));
    }

    #[test]
    fn calls_without_ids_get_generated_ones() {
        let all =
            json!([{"functionCall": {"id": "", "name": "f"}}, {"functionCall": {"name": "f"}}]);
        let reply = read_parts(all).expect("a reply");
        let ids: Vec<&str> = reply
            .tool_calls
            .iter()
            .map(|call| call.id.as_str())
            .collect();
        assert_eq!(ids, ["generated 0", "generated 1"]);
    }
}
