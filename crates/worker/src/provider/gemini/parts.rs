//! Reads the parts of a reply in Gemini's form: texts, function calls and thoughts. Other parts are refused.

use std::collections::BTreeMap;

use forebay_shared::{
    document::UnknownFields,
    turn::{Content, FunctionCall, Part, ToolCall, ToolKind},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::signature;
use crate::provider::{Failure, Retry, json_body};

/// Fields that describe a part and hold no content.
const DESCRIPTIVE_FIELDS: [&str; 3] = ["partMetadata", "mediaResolution", "videoMetadata"];

/// The most characters of a field's name that an error message shows.
const NAME_CHARS_MAX: usize = 60;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WirePart {
    text: Option<Value>,
    thought: Option<Value>,
    thought_signature: Option<Value>,
    function_call: Option<WireFunctionCall>,
    /// All other fields by name, such as `inlineData`, `executableCode` and `codeExecutionResult`.
    #[serde(flatten)]
    other: BTreeMap<String, Option<IgnoredAny>>,
}

#[derive(Deserialize)]
struct WireFunctionCall {
    id: Option<Value>,
    name: Option<Value>,
    args: Option<Value>,
}

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

/// Reads the parts. `generate_id` makes an id for a function call that has none. Its argument is the index of the call.
///
/// # Errors
/// `unsupported_response` for a part whose content a turn cannot hold. If the part were left out, it would
/// be missing from the reply and from every later context without notice. `invalid_response` for a function call
/// without a name.
pub(super) fn read(
    parts: Vec<WirePart>,
    generate_id: impl Fn(usize) -> String,
) -> Result<ReplyParts, Failure> {
    let mut texts: Vec<SignedText> = Vec::new();
    let mut tool_calls = Vec::new();
    let mut thoughts = String::new();
    for part in parts {
        let text = part.text.as_ref().and_then(json_body::text);
        let text = text.unwrap_or_default();
        let signature = part.thought_signature.as_ref().and_then(Value::as_str);
        let signature = signature.map(str::to_owned);
        if let Some(call) = part.function_call {
            let extra_content = signature::to_extra_content(signature);
            let index = tool_calls.len();
            tool_calls.push(tool_call(call, extra_content, || generate_id(index))?);
        } else if part.thought == Some(Value::Bool(true)) {
            // A summary of thoughts is not part of the reply.
            thoughts.push_str(&text);
        } else if let Some(name) = unsupported_field(&part.other) {
            return Err(unsupported(name));
        } else {
            add_text(&mut texts, text, signature);
        }
    }
    let (content, extra_content) = content(texts);
    Ok(ReplyParts {
        content,
        extra_content,
        tool_calls,
        thoughts: (!thoughts.is_empty()).then_some(thoughts),
    })
}

fn tool_call(
    call: WireFunctionCall,
    extra_content: Option<Value>,
    generate_id: impl Fn() -> String,
) -> Result<ToolCall, Failure> {
    let id = call.id.as_ref().and_then(json_body::text);
    let name = call.name.as_ref().and_then(json_body::text);
    let name = name.ok_or_else(|| {
        Failure::new(
            "invalid_response",
            "Gemini's answer calls a function without a name",
            Retry::Backoff,
        )
    })?;
    Ok(ToolCall {
        id: id.filter(|id| !id.is_empty()).unwrap_or_else(generate_id),
        kind: ToolKind::Function,
        function: FunctionCall {
            name,
            arguments: call
                .args
                .map_or_else(|| String::from("{}"), |args| args.to_string()),
            unknown: UnknownFields::NONE,
        },
        extra_content,
        unknown: UnknownFields::NONE,
    })
}

/// The name of a field with content that a turn cannot hold.
fn unsupported_field(other: &BTreeMap<String, Option<IgnoredAny>>) -> Option<&str> {
    let present = other.iter().filter(|(_, value)| value.is_some());
    present
        .map(|(name, _)| name.as_str())
        .find(|name| !DESCRIPTIVE_FIELDS.contains(name))
}

fn unsupported(name: &str) -> Failure {
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
    fn content_that_a_turn_cannot_hold_is_refused_by_name() {
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
            ("aKindOfTheFuture", json!(7)),
        ] {
            let mut part = json!({"thoughtSignature": "S"});
            part[kind] = value;
            let all = json!([{"text": "Let me see."}, part, {"text": "It is 1."}]);
            let failure = read_parts(all).expect_err("the part is refused");
            assert_eq!(failure.error.code, "unsupported_response", "{kind}");
            assert_eq!(failure.retry, Retry::Never, "{kind}");
            assert!(failure.error.message.contains(kind), "{failure}");
        }
    }

    #[test]
    fn descriptive_fields_are_ignored() {
        for part in [
            json!({"text": "a", "partMetadata": {"x": 1}, "mediaResolution": {}, "videoMetadata": {}}),
            json!({"text": "a", "executableCode": null, "inlineData": null}),
        ] {
            let reply = read_parts(json!([part])).expect("a reply");
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
