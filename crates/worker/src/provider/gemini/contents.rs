//! Turns in Gemini's form: contents of the roles `user` and `model`, each a list of parts.
//!
//! Results of tools are parts of a `user` content, all results of one reply's calls in one, in the order
//! of the calls: Gemini refuses other numbers of them, and without ids it can tell them by their order
//! only.

use forebay_shared::turn::{Content, FunctionKind, ImageUrl, Part, Role, ToolCall, Turn};
use serde_json::{Map, Value, json};

use super::{signature, unsupported};
use crate::provider::{Failure, Retry, tool_call_id};

/// The turns in the form that is sent.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents {
    /// The parts of the system instruction, from turns of the operator.
    pub(super) system: Vec<Value>,
    /// Everything else, in order.
    pub(super) contents: Vec<Value>,
}

/// Maps the turns.
///
/// # Errors
/// `unsupported_parameter` for what cannot be expressed, `invalid_request` for a conversation that
/// Gemini would refuse.
pub(super) fn of(turns: &[Turn]) -> Result<Contents, Failure> {
    let mut mapped = Contents::default();
    let mut at = 0;
    while let Some(turn) = turns.get(at) {
        if turn.name.is_some() && turn.role != Role::Tool {
            return Err(unsupported("a turn with a name, which it has no field for"));
        }
        at += 1;
        match &turn.role {
            Role::System | Role::Developer => mapped.system.extend(parts(turn)?),
            Role::User => push(&mut mapped.contents, "user", parts(turn)?),
            Role::Unknown(role) => return Err(unsupported(&format!("a turn of the role {role}"))),
            Role::Assistant => push(&mut mapped.contents, "model", model_parts(turn)?),
            Role::Tool => {
                let first = at - 1;
                while turns.get(at).is_some_and(|turn| turn.role == Role::Tool) {
                    at += 1;
                }
                let results = results(&turns[..first], &turns[first..at])?;
                push(&mut mapped.contents, "user", results);
            }
        }
    }
    match mapped.contents.first() {
        Some(first) if first["role"] == "user" => Ok(mapped),
        _ => Err(Failure::new(
            "invalid_request",
            "Gemini needs a conversation that begins with a turn of the user",
            Retry::Never,
        )),
    }
}

/// Adds a content, unless there is nothing in it (a reply of which everything was kept back).
fn push(contents: &mut Vec<Value>, role: &str, parts: Vec<Value>) {
    if !parts.is_empty() {
        let mut content = json!({"role": role});
        content["parts"] = Value::Array(parts);
        contents.push(content);
    }
}

/// What a turn says.
fn parts(turn: &Turn) -> Result<Vec<Value>, Failure> {
    let from_turn = signature::of(turn.extra_content.as_ref());
    match &turn.content {
        None => Ok(from_turn
            .map(|kept| text("", Some(kept)))
            .into_iter()
            .collect()),
        Some(Content::Text(said)) if said.is_empty() && from_turn.is_none() => Ok(Vec::new()),
        Some(Content::Text(said)) => Ok(vec![text(said, from_turn)]),
        Some(Content::Parts(parts)) => parts
            .iter()
            .map(|part| match part {
                Part::Text {
                    text: said,
                    extra_content,
                    ..
                } => Ok(text(said, signature::of(extra_content.as_ref()))),
                Part::ImageUrl { image_url, .. } => image(image_url),
                Part::Unknown(_) => Err(unsupported("a part of this type")),
            })
            .collect(),
    }
}

fn text(said: &str, signature: Option<&str>) -> Value {
    signed(json!({"text": said}), signature)
}

fn signed(mut part: Value, signature: Option<&str>) -> Value {
    if let Some(signature) = signature {
        part["thoughtSignature"] = signature.into();
    }
    part
}

/// What the model said and which tools it called.
fn model_parts(turn: &Turn) -> Result<Vec<Value>, Failure> {
    let mut parts = parts(turn)?;
    let is_function = |call: &ToolCall| call.kind == FunctionKind::Function;
    if !turn.tool_calls.iter().all(is_function) {
        return Err(unsupported("a call of a tool that is no function"));
    }
    parts.extend(turn.tool_calls.iter().map(|call| {
        let mut function = json!({"name": call.function.name, "args": arguments(call)});
        if !tool_call_id::is_made(&call.id) {
            function["id"] = call.id.as_str().into();
        }
        let kept = signature::of(call.extra_content.as_ref());
        signed(json!({"functionCall": function}), kept)
    }));
    Ok(parts)
}

/// The arguments as the object that Gemini takes. A model may have written something else, which is
/// wrapped, since it must not make the whole session unusable.
fn arguments(call: &ToolCall) -> Value {
    match serde_json::from_str(&call.function.arguments) {
        Ok(Value::Object(arguments)) => Value::Object(arguments),
        _ if call.function.arguments.trim().is_empty() => Value::Object(Map::new()),
        _ => json!({"arguments": call.function.arguments}),
    }
}

/// The results of one reply's calls, in the order of the calls.
fn results(before: &[Turn], results: &[Turn]) -> Result<Vec<Value>, Failure> {
    let calls = before.iter().rev().flat_map(|turn| &turn.tool_calls);
    let mut found: Vec<(usize, Value)> = Vec::with_capacity(results.len());
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
        if !tool_call_id::is_made(id) {
            response["id"] = id.into();
        }
        let order = before
            .last()
            .and_then(|turn| turn.tool_calls.iter().position(|call| call.id == id));
        found.push((
            order.unwrap_or(usize::MAX),
            json!({"functionResponse": response}),
        ));
    }
    found.sort_by_key(|(order, _)| *order);
    Ok(found.into_iter().map(|(_, part)| part).collect())
}

/// A tool's result as the object that Gemini takes: itself, if it is one.
fn output(turn: &Turn) -> Result<Value, Failure> {
    let content = match &turn.content {
        None => String::new(),
        Some(Content::Parts(parts))
            if parts.iter().any(|part| !matches!(part, Part::Text { .. })) =>
        {
            return Err(unsupported("anything but text in a tool's result"));
        }
        Some(content) => content.to_text(),
    };
    Ok(match serde_json::from_str(&content) {
        Ok(Value::Object(output)) => Value::Object(output),
        Ok(output) => json!({"output": output}),
        Err(_) => json!({"output": content}),
    })
}

/// An image, inline or by reference; Gemini fetches it, not we.
fn image(image: &ImageUrl) -> Result<Value, Failure> {
    if image
        .detail
        .as_deref()
        .is_some_and(|detail| detail != "auto")
    {
        return Err(unsupported("an image with a detail other than auto"));
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
    if let Some(kind) = kind_by_name(&image.url) {
        file["mimeType"] = kind.into();
    }
    Ok(json!({"fileData": file}))
}

/// The type of an image by the end of its URL's path.
fn kind_by_name(url: &str) -> Option<&'static str> {
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

    use super::{Contents, of};
    use crate::provider::{Failure, Retry};

    fn mapped(turns: Value) -> Result<Contents, Failure> {
        of(&serde_json::from_value::<Vec<Turn>>(turns).expect("turns"))
    }

    #[test]
    fn roles_have_their_own_places() {
        let mapped = mapped(json!([
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
        .expect("contents");
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
    fn tool_calls_and_results_in_the_order_of_the_calls_with_signatures() {
        let mapped = mapped(json!([
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
        .expect("contents");
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
    fn what_cannot_be_expressed_is_refused() {
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
            let failure = mapped(turns.clone()).expect_err("must be refused");
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, Retry::Never),
                "{turns}"
            );
        }
    }
}
