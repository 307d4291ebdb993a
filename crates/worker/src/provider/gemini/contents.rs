//! Maps turns to Gemini's contents, which have a role (`user` or `model`) and a list of parts. `functions` maps tool calls
//! and their results, `image` maps images.
//!
//! - A content without parts and an empty text without a signature are left out, because Gemini refuses them.
//! - The first content has the role `user`. If the conversation begins with a reply, Forebay adds a user content before it.
//! - The names of speakers are left out, because Gemini has no field for them.

use forebay_shared::turn::{Content, Part, Role, Turn};
use serde_json::{Value, json};

use super::{functions, image, signature, unsupported::unsupported};
use crate::provider::{Failure, Retry};

/// The text of the user content before a reply that begins the conversation.
const BEGINNING: &str = "(The conversation begins.)";

/// The turns in Gemini's form.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents {
    /// The parts of the system instruction, from system and developer turns.
    pub(super) system: Vec<Value>,
    /// All other turns, in order.
    pub(super) contents: Vec<Value>,
}

/// Maps turns to Gemini's form.
///
/// # Errors
/// `unsupported_parameter` for a turn that Gemini's API cannot express, `invalid_request` for a conversation
/// that Gemini refuses.
pub(super) fn from_turns(turns: &[Turn]) -> Result<Contents, Failure> {
    let mut mapped = Contents::default();
    let mut index = 0;
    while let Some(turn) = turns.get(index) {
        index += 1;
        match &turn.role {
            Role::System | Role::Developer => add_system(&mut mapped.system, parts(turn)?),
            Role::User => push_content(&mut mapped.contents, "user", parts(turn)?),
            Role::Unknown(role) => return Err(unsupported(&format!("a turn has the role {role}"))),
            Role::Assistant => push_content(&mut mapped.contents, "model", model_parts(turn)?),
            Role::Tool => {
                let first = index - 1;
                while turns.get(index).is_some_and(|turn| turn.role == Role::Tool) {
                    index += 1;
                }
                let results = functions::results(&turns[..first], &turns[first..index])?;
                push_content(&mut mapped.contents, "user", results);
            }
        }
    }
    let Some(first) = mapped.contents.first() else {
        return Err(Failure::new(
            "invalid_request",
            "Gemini refuses a conversation without a user turn",
            Retry::Never,
        ));
    };
    if first["role"] != "user" {
        let beginning = json!({"role": "user", "parts": [text_part(BEGINNING, None)]});
        mapped.contents.insert(0, beginning);
    }
    Ok(mapped)
}

/// Adds parts to the system instruction. A part that the instruction already has is not added again, because a client may
/// send the same instruction with every job.
pub(super) fn add_system(system: &mut Vec<Value>, parts: Vec<Value>) {
    for part in parts {
        if !system.contains(&part) {
            system.push(part);
        }
    }
}

/// Adds a content. A content without parts, such as a reply that the provider withheld, is left out. If a reply follows
/// another reply, both become one content, because Gemini refuses function calls that do not follow a user content.
fn push_content(contents: &mut Vec<Value>, role: &str, mut parts: Vec<Value>) {
    if parts.is_empty() {
        return;
    }
    if role == "model"
        && let Some(last) = contents.last_mut()
        && last["role"] == role
        && let Some(last_parts) = last["parts"].as_array_mut()
    {
        last_parts.append(&mut parts);
        return;
    }
    let mut content = json!({"role": role});
    content["parts"] = Value::Array(parts);
    contents.push(content);
}

/// The text and images of a turn.
fn parts(turn: &Turn) -> Result<Vec<Value>, Failure> {
    let turn_signature = signature::in_extra_content(turn.extra_content.as_ref());
    match &turn.content {
        None => Ok(signed_text("", turn_signature).into_iter().collect()),
        Some(Content::Text(text)) => Ok(signed_text(text, turn_signature).into_iter().collect()),
        Some(Content::Parts(parts)) => parts
            .iter()
            .filter_map(|part| match part {
                Part::Text {
                    text,
                    extra_content,
                    ..
                } => signed_text(text, signature::in_extra_content(extra_content.as_ref())).map(Ok),
                Part::ImageUrl { image_url, .. } => Some(image::part(image_url)),
                Part::Unknown(_) => Some(Err(unsupported("a part has an unknown type"))),
            })
            .collect(),
    }
}

/// The part of a text. `None` if there is neither a text nor a signature to send back.
fn signed_text(text: &str, signature: Option<&str>) -> Option<Value> {
    (!text.is_empty() || signature.is_some()).then(|| text_part(text, signature))
}

fn text_part(text: &str, signature: Option<&str>) -> Value {
    signature::added_to_part(json!({"text": text}), signature)
}

/// The text and the tool calls of a reply.
fn model_parts(turn: &Turn) -> Result<Vec<Value>, Failure> {
    let mut parts = parts(turn)?;
    parts.extend(functions::calls(turn)?);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use forebay_shared::turn::Turn;
    use serde_json::{Value, json};

    use super::{Contents, from_turns};
    use crate::provider::{Failure, Retry};

    fn contents(turns: Value) -> Result<Contents, Failure> {
        from_turns(&serde_json::from_value::<Vec<Turn>>(turns).expect("turns"))
    }

    #[test]
    fn each_role_is_mapped() {
        let mapped = contents(json!([
            {"role": "system", "content": "rule 1"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "developer", "content": "rule 2"},
            {"role": "assistant"},
            {"role": "user", "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "https://x.example/a.PNG?x=1.gif", "detail": "auto"}},
                {"type": "image_url", "image_url": {"url": "https://x.example/a"}},
                {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AAAA"}}
            ]}
        ]))
        .expect("the turns can be sent");
        assert_eq!(
            mapped.system,
            [json!({"text": "rule 1"}), json!({"text": "rule 2"})]
        );
        assert_eq!(
            mapped.contents,
            [
                json!({"role": "user", "parts": [{"text": "hi"}]}),
                json!({"role": "model", "parts": [{"text": "hello"}]}),
                json!({"role": "user", "parts": [
                    {"text": "see"},
                    {"fileData": {"fileUri": "https://x.example/a.PNG?x=1.gif", "mimeType": "image/png"}},
                    {"fileData": {"fileUri": "https://x.example/a"}},
                    {"inlineData": {"mimeType": "image/webp", "data": "AAAA"}}
                ]}),
            ]
        );
    }

    #[test]
    fn results_follow_the_order_of_the_calls_and_signatures_are_kept() {
        let mapped = contents(json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "well", "extra_content": {"google": {"thought_signature": "T"}},
             "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"},
                 "extra_content": {"google": {"thought_signature": "S"}}},
                {"id": "call_fb_1_1", "type": "function", "function": {"name": "g", "arguments": ""}},
                {"id": "c", "type": "function", "function": {"name": "h", "arguments": "oops"}}
            ]},
            {"role": "tool", "tool_call_id": "c", "content": "[1]"},
            {"role": "tool", "tool_call_id": "call_fb_1_1", "content": "plain"},
            {"role": "tool", "tool_call_id": "a", "content": "{\"y\":2}"},
            {"role": "user", "content": "and?"}
        ]))
        .expect("the turns can be sent");
        assert_eq!(
            mapped.contents[1..],
            [
                json!({"role": "model", "parts": [
                    {"text": "well", "thoughtSignature": "T"},
                    {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "S"},
                    {"functionCall": {"name": "g", "args": {}}},
                    {"functionCall": {"id": "c", "name": "h", "args": {"arguments": "oops"}}}
                ]}),
                json!({"role": "user", "parts": [
                    {"functionResponse": {"id": "a", "name": "f", "response": {"y": 2}}},
                    {"functionResponse": {"name": "g", "response": {"output": "plain"}}},
                    {"functionResponse": {"id": "c", "name": "h", "response": {"output": [1]}}}
                ]}),
                json!({"role": "user", "parts": [{"text": "and?"}]}),
            ]
        );
    }

    #[test]
    fn turns_that_cannot_be_expressed_are_refused() {
        let user = |content: Value| json!([{"role": "user", "content": content}]);
        for (turns, code) in [
            (json!([]), "invalid_request"),
            (
                json!([{"role": "system", "content": "x"}]),
                "invalid_request",
            ),
            (
                json!([{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "z", "content": "y"}]),
                "invalid_request",
            ),
            (
                json!([{"role": "robot", "content": "x"}]),
                "unsupported_parameter",
            ),
            (
                user(json!([{"type": "image_url", "image_url": {"url": "data:image/png,raw"}}])),
                "invalid_request",
            ),
        ] {
            let failure = contents(turns.clone()).expect_err("the turns are refused");
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, Retry::Never),
                "{turns}"
            );
        }
    }

    #[test]
    fn names_and_image_details_and_empty_texts_are_left_out() {
        let image = json!({"url": "https://x.example/a.png", "detail": "high"});
        let mapped = contents(json!([
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": ""},
                {"type": "image_url", "image_url": image}
            ]},
            {"role": "assistant", "name": "bot", "content": "x"}
        ]))
        .expect("the turns can be sent");
        let file = json!({"fileUri": "https://x.example/a.png", "mimeType": "image/png"});
        assert_eq!(
            mapped.contents,
            [
                json!({"role": "user", "parts": [{"fileData": file}]}),
                json!({"role": "model", "parts": [{"text": "x"}]}),
            ]
        );
    }

    #[test]
    fn a_user_content_goes_before_a_reply_that_begins_the_conversation() {
        let call =
            json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        for turns in [
            json!([{"role": "assistant", "content": "Welcome!"}, {"role": "user", "content": "hi"}]),
            json!([
                {"role": "system", "content": "Be brief."},
                {"role": "assistant", "content": "Welcome!"},
                {"role": "user", "content": "hi"}
            ]),
            json!([
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "1", "content": "42"}
            ]),
        ] {
            let mapped = contents(turns).expect("the turns can be sent").contents;
            let roles: Vec<&Value> = mapped.iter().map(|content| &content["role"]).collect();
            assert_eq!(roles, ["user", "model", "user"]);
            assert_ne!(mapped[0]["parts"][0]["text"], "");
        }
    }

    #[test]
    fn replies_that_follow_each_other_are_one_content() {
        let call =
            json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let mapped = contents(json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Let me see."},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "42"}
        ]))
        .expect("the turns can be sent")
        .contents;
        assert_eq!(mapped.len(), 3);
        assert_eq!(mapped[1]["parts"][0]["text"], "Let me see.");
        assert_eq!(mapped[1]["parts"][1]["functionCall"]["name"], "f");
    }

    #[test]
    fn a_repeated_instruction_is_sent_once() {
        let system = json!({"role": "system", "content": "Be brief."});
        let user = json!({"role": "user", "content": "hi"});
        let reply = json!({"role": "assistant", "content": "x"});
        let mapped = contents(json!([system, user, reply, system, user])).expect("turns");
        assert_eq!(mapped.system, [json!({"text": "Be brief."})]);
        assert_eq!(mapped.contents.len(), 3);
    }
}
