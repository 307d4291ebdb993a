//! The input: a text, or messages in the form of OpenAI's chat messages.

use forebay_shared::turn::{Content, FunctionCall, FunctionKind, Role, ToolCall, Turn};
use serde_json::Value;

use super::{
    content::{self, Emptiness},
    faults::Faults,
    fields::{Object, list, opaque, text, word},
    path::Path,
};

const MESSAGES_MAX: usize = 200;
const TOOL_CALLS_MAX: usize = 128;
/// Of ids and names that a provider or a client chose.
const ID_CHARS_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 128;
const FIELDS: &str = "role, content, name, tool_calls, tool_call_id, extra_content";

/// Reads the input.
pub(super) fn read(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Option<Vec<Turn>> {
    let messages = match value? {
        Value::String(text) if !text.is_empty() => return Some(vec![Turn::text(Role::User, text)]),
        Value::Array(messages) if (1..=MESSAGES_MAX).contains(&messages.len()) => messages,
        _ => {
            let allowed = format_args!(
                "must be a text that is not empty, or a list of 1 to {MESSAGES_MAX} messages"
            );
            faults.add(at, allowed);
            return None;
        }
    };
    let mut turns = Vec::with_capacity(messages.len());
    for (place, message) in messages.into_iter().enumerate() {
        turns.extend(turn(message, at.index(place), faults));
    }
    if are_tool_results(&turns)
        && let Some(place) = turns.iter().position(|turn| turn.role != Role::Tool)
    {
        let element = at.index(place);
        let allowed =
            "must be tool, as in every message of an input that begins with a tool's result";
        faults.add(element.key("role"), allowed);
    }
    Some(turns)
}

/// Whether the input is the results of tools, which pass the messages that wait in the session.
pub(super) fn are_tool_results(input: &[Turn]) -> bool {
    input.first().is_some_and(|turn| turn.role == Role::Tool)
}

fn turn(value: Value, at: Path<'_>, faults: &mut Faults) -> Option<Turn> {
    let mut fields = Object::of(value, at, faults)?;
    let roles = [
        ("system", Role::System),
        ("developer", Role::Developer),
        ("user", Role::User),
        ("assistant", Role::Assistant),
        ("tool", Role::Tool),
    ];
    let role = word(
        fields.require("role", faults),
        at.key("role"),
        &roles,
        faults,
    );
    let calls = fields.take("tool_calls");
    let call_id = fields.take("tool_call_id");
    let said = fields.take("content");
    let name = fields.take("name");
    let extra = fields.take("extra_content");
    let name = text(name, at.key("name"), 1..=NAME_CHARS_MAX, faults);
    let extra_content = opaque(extra, at.key("extra_content"), faults);
    fields.finish(FIELDS, faults);
    let role = role?;

    if calls.is_some() && role != Role::Assistant {
        faults.add(at.key("tool_calls"), "is for the role assistant only");
    }
    if call_id.is_some() != (role == Role::Tool) {
        let allowed = match role {
            Role::Tool => "is required with the role tool",
            _ => "is for the role tool only",
        };
        faults.add(at.key("tool_call_id"), allowed);
    }
    let calls_tools = calls.is_some();
    let may_lack = role == Role::Assistant && calls_tools;
    if said.is_none() && !may_lack {
        let allowed = match role {
            Role::Assistant => "is required, unless there are tool_calls",
            _ => "is required",
        };
        faults.add(at.key("content"), allowed);
    }
    // A tool may have nothing to say, and so may a reply that calls one.
    let emptiness = if role == Role::Tool || may_lack {
        Emptiness::Allowed
    } else {
        Emptiness::Refused
    };
    let content = said.and_then(|said| content::read(said, at.key("content"), emptiness, faults));
    Some(Turn {
        role,
        content: content.filter(|said| !(may_lack && is_empty(said))),
        name,
        tool_calls: tool_calls(calls, at.key("tool_calls"), faults),
        tool_call_id: text(call_id, at.key("tool_call_id"), 1..=ID_CHARS_MAX, faults),
        extra_content,
    })
}

/// Clients write the absent text of a reply that calls tools as an empty one; it is the same.
fn is_empty(content: &Content) -> bool {
    matches!(content, Content::Text(text) if text.is_empty())
}

fn tool_calls(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Vec<ToolCall> {
    let calls = list(value, at, 1..=TOOL_CALLS_MAX, faults).unwrap_or_default();
    let mut read = Vec::with_capacity(calls.len());
    for (place, call) in calls.into_iter().enumerate() {
        read.extend(tool_call(call, at.index(place), faults));
    }
    read
}

fn tool_call(value: Value, at: Path<'_>, faults: &mut Faults) -> Option<ToolCall> {
    let mut fields = Object::of(value, at, faults)?;
    let id = fields.require("id", faults);
    let id = text(id, at.key("id"), 1..=ID_CHARS_MAX, faults);
    let kinds = [("function", FunctionKind::Function)];
    let kind = word(fields.take("type"), at.key("type"), &kinds, faults);
    let function = fields.require("function", faults);
    let function = function_call(function, at.key("function"), faults);
    let extra = fields.take("extra_content");
    let extra_content = opaque(extra, at.key("extra_content"), faults);
    fields.finish("id, type, function, extra_content", faults);
    Some(ToolCall {
        id: id?,
        kind: kind.unwrap_or_default(),
        function: function?,
        extra_content,
    })
}

fn function_call(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Option<FunctionCall> {
    let mut fields = Object::of(value?, at, faults)?;
    let name = fields.require("name", faults);
    let name = text(name, at.key("name"), 1..=NAME_CHARS_MAX, faults);
    let arguments = fields.require("arguments", faults);
    let arguments = text(arguments, at.key("arguments"), 0..=usize::MAX, faults);
    fields.finish("name, arguments", faults);
    Some(FunctionCall {
        name: name?,
        arguments: arguments?,
    })
}
