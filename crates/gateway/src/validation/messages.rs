//! The input: a string, or an array of messages in the form of OpenAI's chat messages.
//!
//! Clients send replies back as an SDK or another proxy returned them. So fields that only replies have are accepted.
//! Except for `refusal`, their values are not kept.

use forebay_shared::{
    document::UnknownFields,
    turn::{FunctionCall, Role, TOOL_CALLS_MAX, ToolCall, ToolKind, Turn},
};
use serde_json::Value;

use super::{
    content::{self, EmptyContent},
    field_errors::FieldErrors,
    field_path::FieldPath,
    values::{self, Object, array, one_of, opaque, string},
};

const MESSAGES_MAX: usize = 200;
/// The most characters of the id and of the name in a tool call. Models make up long names, and some proxies write the
/// provider's data into the id.
const TOOL_CALL_TEXT_CHARS_MAX: usize = 65_536;
const NAME_CHARS_MAX: usize = 128;
const MESSAGE_FIELDS: &str =
    "role, content, name, tool_calls, tool_call_id, refusal, extra_content";
/// Fields of replies whose values are ignored. At most the provider that returned such a value could use it, and the input
/// does not name that provider.
const REPLY_FIELDS: [&str; 8] = [
    "annotations",
    "index",
    "parsed",
    "provider_specific_fields",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking_blocks",
];
/// Fields of replies that must be null or empty, because without the value a part of the reply would be missing. SDKs
/// write these fields also when they have no value.
const EMPTY_REPLY_FIELDS: [&str; 3] = ["audio", "function_call", "images"];
/// Fields that a tool call of a reply and its function may have. Their values are not kept.
const REPLY_CALL_FIELDS: [&str; 3] = ["index", "parsed_arguments", "provider_specific_fields"];

/// Reads the input.
pub(super) fn read(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<Vec<Turn>> {
    let messages = match value? {
        Value::String(text) if !text.is_empty() => return Some(vec![Turn::text(Role::User, text)]),
        Value::Array(messages) if (1..=MESSAGES_MAX).contains(&messages.len()) => messages,
        _ => {
            let error_message = format_args!(
                "must be a non-empty string or an array of 1 to {MESSAGES_MAX} messages"
            );
            errors.add(path, error_message);
            return None;
        }
    };
    let mut turns = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        turns.extend(turn(message, path.index(index), errors));
    }
    if is_tool_results(&turns)
        && let Some(index) = turns.iter().position(|turn| turn.role != Role::Tool)
    {
        let element = path.index(index);
        let error_message =
            "must be tool, because the first message of the input has the role tool";
        errors.add(element.key("role"), error_message);
    }
    Some(turns)
}

/// Returns whether the input holds tool results. The lane puts such a job before the waiting jobs of its session.
pub(super) fn is_tool_results(input: &[Turn]) -> bool {
    input.first().is_some_and(|turn| turn.role == Role::Tool)
}

fn turn(value: Value, path: FieldPath<'_>, errors: &mut FieldErrors) -> Option<Turn> {
    let mut fields = Object::new(value, path, errors)?;
    let roles = [
        ("system", Role::System),
        ("developer", Role::Developer),
        ("user", Role::User),
        ("assistant", Role::Assistant),
        ("tool", Role::Tool),
    ];
    let role = one_of(
        fields.require("role", errors),
        path.key("role"),
        &roles,
        errors,
    );
    // An assistant message with such fields is a reply that an SDK or a proxy returned. It may be empty.
    let mut reply_fields = REPLY_FIELDS
        .iter()
        .chain(&EMPTY_REPLY_FIELDS)
        .chain(&["refusal", "tool_calls"]);
    let is_returned_reply = role == Some(Role::Assistant)
        && fields.has("content")
        && reply_fields.any(|name| fields.has(name));
    let refusal = fields.take("refusal");
    let refusal = string(refusal, path.key("refusal"), 0..=usize::MAX, errors);
    let refusal = refusal.filter(|text| !text.is_empty() && role == Some(Role::Assistant));
    let content = fields.take("content");
    let calls = fields.take("tool_calls");
    // SDKs write an empty list for a reply that calls no tools.
    let needs_no_calls = is_returned_reply || refusal.is_some();
    let calls = calls.filter(|calls| !(needs_no_calls && values::is_empty(calls)));
    let call_id = fields.take("tool_call_id");
    let name = fields.take("name");
    let extra = fields.take("extra_content");
    let name = string(name, path.key("name"), 1..=NAME_CHARS_MAX, errors);
    let extra_content = opaque(extra, path.key("extra_content"), errors);
    fields.ignore(&REPLY_FIELDS);
    fields.ignore_empty(&EMPTY_REPLY_FIELDS, errors);
    fields.ignore_nulls();
    fields.refuse_unknown(MESSAGE_FIELDS, errors);
    let role = role?;

    if calls.is_some() && role != Role::Assistant {
        errors.add(
            path.key("tool_calls"),
            "is allowed for the role assistant only",
        );
    }
    if call_id.is_some() != (role == Role::Tool) {
        let error_message = match role {
            Role::Tool => "is required for the role tool",
            _ => "is allowed for the role tool only",
        };
        errors.add(path.key("tool_call_id"), error_message);
    }
    let has_tool_calls = role == Role::Assistant && calls.is_some();
    let needs_no_content = has_tool_calls || is_returned_reply || refusal.is_some();
    if content.is_none() && !needs_no_content {
        let error_message = match role {
            Role::Assistant => "is required, unless there are tool_calls",
            _ => "is required",
        };
        errors.add(path.key("content"), error_message);
    }
    let empty_content = if role == Role::Tool || needs_no_content {
        EmptyContent::Allowed
    } else {
        EmptyContent::Refused
    };
    let content =
        content.and_then(|value| content::read(value, path.key("content"), empty_content, errors));
    let content = match role {
        Role::Assistant => content::with_refusal(content, refusal),
        _ => content,
    };
    Some(Turn {
        role,
        content,
        name,
        tool_calls: tool_calls(calls, path.key("tool_calls"), errors),
        tool_call_id: tool_call_id(call_id, path.key("tool_call_id"), errors),
        extra_content,
        unknown: UnknownFields::NONE,
    })
}

/// The id of a tool call. Some clients and providers use numbers.
fn tool_call_id(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<String> {
    let text = match value {
        Some(Value::Number(number)) => Some(Value::String(number.to_string())),
        value => value,
    };
    string(text, path, 1..=TOOL_CALL_TEXT_CHARS_MAX, errors)
}

fn tool_calls(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<ToolCall> {
    let values = array(value, path, 1..=TOOL_CALLS_MAX, errors).unwrap_or_default();
    let mut tool_calls = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        tool_calls.extend(tool_call(value, path.index(index), errors));
    }
    tool_calls
}

fn tool_call(value: Value, path: FieldPath<'_>, errors: &mut FieldErrors) -> Option<ToolCall> {
    let mut fields = Object::new(value, path, errors)?;
    let id = fields.require("id", errors);
    let id = tool_call_id(id, path.key("id"), errors);
    let kinds = [("function", ToolKind::Function)];
    let kind = one_of(fields.take("type"), path.key("type"), &kinds, errors);
    let function = fields.require("function", errors);
    let function = function_call(function, path.key("function"), errors);
    let extra = fields.take("extra_content");
    let extra_content = opaque(extra, path.key("extra_content"), errors);
    fields.ignore(&REPLY_CALL_FIELDS);
    fields.ignore_nulls();
    fields.refuse_unknown("id, type, function, extra_content", errors);
    Some(ToolCall {
        id: id?,
        kind: kind.unwrap_or_default(),
        function: function?,
        extra_content,
        unknown: UnknownFields::NONE,
    })
}

fn function_call(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<FunctionCall> {
    let mut fields = Object::new(value?, path, errors)?;
    let name = fields.require("name", errors);
    let name = string(name, path.key("name"), 0..=TOOL_CALL_TEXT_CHARS_MAX, errors);
    let arguments = fields.require("arguments", errors);
    let arguments = string(arguments, path.key("arguments"), 0..=usize::MAX, errors);
    fields.ignore(&REPLY_CALL_FIELDS);
    fields.ignore_nulls();
    fields.refuse_unknown("name, arguments", errors);
    Some(FunctionCall {
        name: name?,
        arguments: arguments?,
        unknown: UnknownFields::NONE,
    })
}
