//! Maps turns to Gemini's contents, which have a role (`user` or `model`) and a list of parts.
//!
//! Tool results are parts of a `user` content. The results of one reply's calls are in one content, in the
//! order of the calls. Gemini refuses another number of results, and without ids it matches them to the
//! calls by their order.

use forebay_shared::turn::{Content, ImageUrl, Part, Role, ToolCall, ToolKind, Turn};
use serde_json::{Map, Value, json};

use super::{signature, unsupported::unsupported};
use crate::provider::{Failure, Retry, tool_call_id};

/// The turns in Gemini's form.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents {
    /// The parts of the system instruction, from system and developer turns.
    pub(super) system: Vec<Value>,
    /// All other turns, in order.
    pub(super) contents: Vec<Value>,
}

/// Maps turns.
///
/// # Errors
/// `unsupported_parameter` for a turn that Gemini's API cannot express, `invalid_request` for a conversation
/// that it refuses.
pub(super) fn from_turns(turns: &[Turn]) -> Result<Contents, Failure> {
    let mut mapped = Contents::default();
    let mut index = 0;
    while let Some(turn) = turns.get(index) {
        if turn.name.is_some() && turn.role != Role::Tool {
            return Err(unsupported("a turn has a name"));
        }
        index += 1;
        match &turn.role {
            Role::System | Role::Developer => mapped.system.extend(parts(turn)?),
            Role::User => push(&mut mapped.contents, "user", parts(turn)?),
            Role::Unknown(role) => return Err(unsupported(&format!("a turn has the role {role}"))),
            Role::Assistant => push(&mut mapped.contents, "model", model_parts(turn)?),
            Role::Tool => {
                let first = index - 1;
                while turns.get(index).is_some_and(|turn| turn.role == Role::Tool) {
                    index += 1;
                }
                let results = results(&turns[..first], &turns[first..index])?;
                push(&mut mapped.contents, "user", results);
            }
        }
    }
    match mapped.contents.first() {
        Some(first) if first["role"] == "user" => Ok(mapped),
        _ => Err(Failure::new(
            "invalid_request",
            "Gemini refuses a conversation that does not begin with a user turn",
            Retry::Never,
        )),
    }
}

/// Adds a content, unless it has no parts, as when the provider withheld the whole reply.
fn push(contents: &mut Vec<Value>, role: &str, parts: Vec<Value>) {
    if !parts.is_empty() {
        let mut content = json!({"role": role});
        content["parts"] = Value::Array(parts);
        contents.push(content);
    }
}

/// The text and images of a turn.
fn parts(turn: &Turn) -> Result<Vec<Value>, Failure> {
    let turn_signature = signature::in_extra_content(turn.extra_content.as_ref());
    match &turn.content {
        None => Ok(turn_signature
            .map(|signature| text_part("", Some(signature)))
            .into_iter()
            .collect()),
        Some(Content::Text(text)) if text.is_empty() && turn_signature.is_none() => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(vec![text_part(text, turn_signature)]),
        Some(Content::Parts(parts)) => parts
            .iter()
            .map(|part| match part {
                Part::Text {
                    text,
                    extra_content,
                    ..
                } => Ok(text_part(
                    text,
                    signature::in_extra_content(extra_content.as_ref()),
                )),
                Part::ImageUrl { image_url, .. } => image_part(image_url),
                Part::Unknown(_) => Err(unsupported("a part has an unknown type")),
            })
            .collect(),
    }
}

fn text_part(text: &str, signature: Option<&str>) -> Value {
    with_signature(json!({"text": text}), signature)
}

fn with_signature(mut part: Value, signature: Option<&str>) -> Value {
    if let Some(signature) = signature {
        part["thoughtSignature"] = signature.into();
    }
    part
}

/// The text and the tool calls of a reply.
fn model_parts(turn: &Turn) -> Result<Vec<Value>, Failure> {
    let mut parts = parts(turn)?;
    let is_function = |call: &ToolCall| call.kind == ToolKind::Function;
    if !turn.tool_calls.iter().all(is_function) {
        return Err(unsupported("a tool call does not call a function"));
    }
    parts.extend(turn.tool_calls.iter().map(|call| {
        let mut function = json!({"name": call.function.name, "args": arguments(call)});
        if !tool_call_id::is_generated(&call.id) {
            function["id"] = call.id.as_str().into();
        }
        let signature = signature::in_extra_content(call.extra_content.as_ref());
        with_signature(json!({"functionCall": function}), signature)
    }));
    Ok(parts)
}

/// The arguments as an object, which Gemini requires. Other arguments that a model wrote are wrapped in one,
/// because they must not make the session unusable.
fn arguments(call: &ToolCall) -> Value {
    match serde_json::from_str(&call.function.arguments) {
        Ok(Value::Object(arguments)) => Value::Object(arguments),
        _ if call.function.arguments.trim().is_empty() => Value::Object(Map::new()),
        _ => json!({"arguments": call.function.arguments}),
    }
}

/// The tool results that follow the turns `before`, in the order of their calls.
fn results(before: &[Turn], results: &[Turn]) -> Result<Vec<Value>, Failure> {
    let calls = before.iter().rev().flat_map(|turn| &turn.tool_calls);
    let mut ordered: Vec<(usize, Value)> = Vec::with_capacity(results.len());
    for result in results {
        let id = result.tool_call_id.as_deref().unwrap_or("");
        let Some(call) = calls.clone().find(|call| call.id == id) else {
            return Err(Failure::new(
                "invalid_request",
                "a tool result answers a call that is not in the conversation",
                Retry::Never,
            ));
        };
        let mut response = json!({"name": call.function.name, "response": output(result)?});
        if !tool_call_id::is_generated(id) {
            response["id"] = id.into();
        }
        let order = before
            .last()
            .and_then(|turn| turn.tool_calls.iter().position(|call| call.id == id));
        ordered.push((
            order.unwrap_or(usize::MAX),
            json!({"functionResponse": response}),
        ));
    }
    ordered.sort_by_key(|(order, _)| *order);
    Ok(ordered.into_iter().map(|(_, part)| part).collect())
}

/// A tool's result as an object, which Gemini requires. Another result is wrapped in one.
fn output(turn: &Turn) -> Result<Value, Failure> {
    let content = match &turn.content {
        None => String::new(),
        Some(Content::Parts(parts))
            if parts.iter().any(|part| !matches!(part, Part::Text { .. })) =>
        {
            return Err(unsupported("a tool result has a part that is no text"));
        }
        Some(content) => content.to_text(),
    };
    Ok(match serde_json::from_str(&content) {
        Ok(Value::Object(output)) => Value::Object(output),
        Ok(output) => json!({"output": output}),
        Err(_) => json!({"output": content}),
    })
}

/// An image, inline or by its URL. Gemini itself fetches a URL.
fn image_part(image: &ImageUrl) -> Result<Value, Failure> {
    if image
        .detail
        .as_deref()
        .is_some_and(|detail| detail != "auto")
    {
        return Err(unsupported("an image has a detail other than auto"));
    }
    if let Some(data) = image.url.strip_prefix("data:") {
        let (kind, data) = data.split_once(";base64,").ok_or_else(|| {
            Failure::new(
                "invalid_request",
                "a data: URL of an image must have the form data:image/png;base64,…",
                Retry::Never,
            )
        })?;
        return Ok(json!({"inlineData": {"mimeType": kind, "data": data}}));
    }
    let mut file = json!({"fileUri": image.url});
    if let Some(kind) = mime_type(&image.url) {
        file["mimeType"] = kind.into();
    }
    Ok(json!({"fileData": file}))
}

/// The MIME type of an image, from the extension in its URL.
fn mime_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        _ => return None,
    })
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
                json!([{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]),
                "invalid_request",
            ),
            (
                json!([{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "z", "content": "y"}]),
                "invalid_request",
            ),
            (
                json!([{"role": "user", "name": "ann", "content": "x"}]),
                "unsupported_parameter",
            ),
            (
                user(
                    json!([{"type": "image_url", "image_url": {"url": "https://x.example", "detail": "high"}}]),
                ),
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
}
