//! The parts of a reply in Gemini's form: texts, calls of functions, thoughts, and what a turn cannot hold.

use std::collections::BTreeMap;

use forebay_shared::{
    document::UnknownFields,
    turn::{Content, FunctionCall, FunctionKind, Part, ToolCall},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::signature;
use crate::provider::{Failure, Retry};

/// Fields that say something about a part and are no content themselves.
const ABOUT: [&str; 3] = ["partMetadata", "mediaResolution", "videoMetadata"];

/// The most characters that are shown of the name of a field.
const NAME_CHARS_MAX: usize = 60;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WirePart {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    thought_signature: Option<String>,
    function_call: Option<WireFunctionCall>,
    /// What else there is, by name: `inlineData`, `executableCode`, `codeExecutionResult` and whatever
    /// comes to be.
    #[serde(flatten)]
    other: BTreeMap<String, Option<IgnoredAny>>,
}

#[derive(Deserialize)]
struct WireFunctionCall {
    id: Option<String>,
    name: String,
    args: Option<Value>,
}

/// What the parts amount to.
#[derive(Debug)]
pub(super) struct Reply {
    /// What is said.
    pub(super) content: Option<Content>,
    /// The signature of a single text.
    pub(super) extra_content: Option<Value>,
    /// The functions called.
    pub(super) tool_calls: Vec<ToolCall>,
}

/// A piece of text and the signature that must go back with it.
struct Text {
    said: String,
    signature: Option<String>,
}

/// Reads the parts. `made_id` makes the id of the call of this number, which came without one.
///
/// # Errors
/// `unsupported_response` for a part whose content a turn has no place for: left out, it would be missing
/// from the reply and from every later context, and nobody would know.
pub(super) fn read(
    parts: Vec<WirePart>,
    made_id: impl Fn(usize) -> String,
) -> Result<Reply, Failure> {
    let mut texts: Vec<Text> = Vec::new();
    let mut tool_calls = Vec::new();
    for part in parts {
        if let Some(call) = part.function_call {
            let id = call.id.filter(|id| !id.is_empty());
            tool_calls.push(ToolCall {
                id: id.unwrap_or_else(|| made_id(tool_calls.len())),
                kind: FunctionKind::Function,
                function: FunctionCall {
                    name: call.name,
                    arguments: call
                        .args
                        .map_or_else(|| String::from("{}"), |args| args.to_string()),
                    unknown: UnknownFields::NONE,
                },
                extra_content: signature::kept(part.thought_signature),
                unknown: UnknownFields::NONE,
            });
        } else if part.thought {
            // Summaries of thoughts are for looking at, not a part of the reply.
        } else if let Some(name) = content_of_another_kind(&part.other) {
            return Err(unsupported(name));
        } else {
            add(
                &mut texts,
                part.text.unwrap_or_default(),
                part.thought_signature,
            );
        }
    }
    let (content, extra_content) = content(texts);
    Ok(Reply {
        content,
        extra_content,
        tool_calls,
    })
}

/// The name of a field that holds what a turn has no place for.
fn content_of_another_kind(other: &BTreeMap<String, Option<IgnoredAny>>) -> Option<&str> {
    let present = other.iter().filter(|(_, value)| value.is_some());
    present
        .map(|(name, _)| name.as_str())
        .find(|name| !ABOUT.contains(name))
}

fn unsupported(name: &str) -> Failure {
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    Failure::new(
        "unsupported_response",
        format!("Gemini's answer holds a part of the kind {name}, which a reply cannot carry"),
        Retry::Never,
    )
}

/// Adds a piece of text; what has no signature joins what has none before it.
fn add(texts: &mut Vec<Text>, said: String, signature: Option<String>) {
    if said.is_empty() && signature.is_none() {
        return;
    }
    match (texts.last_mut(), &signature) {
        (Some(last), None) if last.signature.is_none() => last.said.push_str(&said),
        _ => texts.push(Text { said, signature }),
    }
}

/// The turn's content and, of a single text, its signature as the turn's `extra_content`. Several are kept
/// apart, each with its own.
fn content(mut texts: Vec<Text>) -> (Option<Content>, Option<Value>) {
    match texts.len() {
        0 => (None, None),
        1 => {
            let Text { said, signature } = texts.remove(0);
            let content = (!said.is_empty()).then_some(Content::Text(said));
            (content, signature::kept(signature))
        }
        _ => {
            let parts = texts
                .into_iter()
                .map(|Text { said, signature }| Part::Text {
                    text: said,
                    extra_content: signature::kept(signature),
                    unknown: UnknownFields::NONE,
                });
            (Some(Content::Parts(parts.collect())), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Reply, read};
    use crate::provider::{Failure, Retry};

    fn parts(of: Value) -> Result<Reply, Failure> {
        let parts = serde_json::from_value(of).expect("parts");
        read(parts, |index| format!("made {index}"))
    }

    #[test]
    fn what_a_turn_has_no_place_for_is_refused_by_name() {
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
            ("aKindThatComesToBe", json!(7)),
        ] {
            let mut part = json!({"thoughtSignature": "S"});
            part[kind] = value;
            let all = json!([{"text": "Let me see."}, part, {"text": "It is 1."}]);
            let failure = parts(all).expect_err("must be refused");
            assert_eq!(failure.error.code, "unsupported_response", "{kind}");
            assert_eq!(failure.retry, Retry::Never, "{kind}");
            assert!(failure.error.message.contains(kind), "{failure}");
        }
    }

    #[test]
    fn what_only_says_something_about_a_part_is_passed_over() {
        for about in [
            json!({"text": "a", "partMetadata": {"x": 1}, "mediaResolution": {}, "videoMetadata": {}}),
            json!({"text": "a", "executableCode": null, "inlineData": null}),
        ] {
            let reply = parts(json!([about])).expect("a reply");
            let said = reply.content.map(|content| content.to_text());
            assert_eq!(said.as_deref(), Some("a"), "{about}");
        }
    }

    #[test]
    fn thoughts_are_not_a_part_of_the_reply() {
        let all = json!([
            {"text": "I had better compute it", "thought": true},
            {"executableCode": {"code": "print(1)"}, "thought": true},
            {"text": "a"}
        ]);
        let reply = parts(all).expect("a reply");
        let said = reply.content.map(|content| content.to_text());
        assert_eq!(said.as_deref(), Some("a"));
    }

    #[test]
    fn calls_without_ids_get_one_each() {
        let all =
            json!([{"functionCall": {"id": "", "name": "f"}}, {"functionCall": {"name": "f"}}]);
        let reply = parts(all).expect("a reply");
        let ids: Vec<&str> = reply
            .tool_calls
            .iter()
            .map(|call| call.id.as_str())
            .collect();
        assert_eq!(ids, ["made 0", "made 1"]);
    }
}
