//! The rules of messages that a schema cannot express: what a message of each role must have, and what may be empty.

use serde_json::{Map, Value};

use super::{
    field_errors::FieldErrors,
    field_path::FieldPath,
    submit_body::{MESSAGES_MAX, PARTS_MAX},
};

/// Fields that only replies have, besides `refusal` and `tool_calls`.
pub(super) const REPLY_FIELDS: [&str; 11] = [
    "annotations",
    "index",
    "parsed",
    "provider_specific_fields",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking_blocks",
    "audio",
    "function_call",
    "images",
];

/// Returns whether the input consists of tool results. The first message decides, and [`check`] refuses others of another role. The
/// lane puts such a job before the waiting jobs of its session.
pub(super) fn is_tool_results(messages: &[Value]) -> bool {
    messages.first().and_then(role) == Some("tool")
}

/// Adds an error for each field that breaks a rule.
pub(super) fn check(messages: &[Value], path: FieldPath<'_>, errors: &mut FieldErrors) {
    let are_results = is_tool_results(messages);
    // The schema refuses more messages.
    for (index, message) in messages.iter().take(MESSAGES_MAX).enumerate() {
        let path = path.index(index);
        if are_results && role(message).is_some_and(|role| role != "tool") {
            let error_message =
                "must be tool, because the first message of the input has the role tool";
            errors.add(path.key("role"), error_message);
        }
        if let Some(fields) = message.as_object() {
            check_message(fields, path, errors);
        }
    }
}

/// Adds an error for each field of a session's turns that breaks a rule. Unlike the input of a job, turns may mix tool results with
/// other messages.
pub(super) fn check_turns(turns: &[Value], path: FieldPath<'_>, errors: &mut FieldErrors) {
    for (index, turn) in turns.iter().enumerate() {
        if errors.is_full() {
            return;
        }
        if let Some(fields) = turn.as_object() {
            check_message(fields, path.index(index), errors);
        }
    }
}

fn role(message: &Value) -> Option<&str> {
    message.get("role")?.as_str()
}

fn check_message(message: &Map<String, Value>, path: FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(role) = message.get("role").and_then(Value::as_str) else {
        return;
    };
    let given = |name: &str| message.get(name).filter(|value| !value.is_null());
    let is_assistant = role == "assistant";
    // An assistant message with such fields is a reply that an SDK or a proxy returned. It may be empty.
    let mut reply_fields = REPLY_FIELDS.iter().chain(&["refusal", "tool_calls"]);
    let is_returned_reply = is_assistant
        && message.contains_key("content")
        && reply_fields.any(|name| message.contains_key(*name));
    let has_refusal = is_assistant
        && given("refusal")
            .is_some_and(|refusal| refusal.as_str().is_some_and(|text| !text.is_empty()));
    // SDKs write an empty list for a reply that calls no tools.
    let calls = given("tool_calls").filter(|calls| {
        let is_empty = calls.as_array().is_some_and(Vec::is_empty);
        !(is_empty && (is_returned_reply || has_refusal))
    });
    if calls.is_some() && !is_assistant {
        errors.add(
            path.key("tool_calls"),
            "is allowed for the role assistant only",
        );
    }
    if calls.is_some_and(|calls| calls.as_array().is_some_and(Vec::is_empty)) {
        errors.add(path.key("tool_calls"), "must have a call, or be absent");
    }
    if given("tool_call_id").is_some() != (role == "tool") {
        let error_message = match role {
            "tool" => "is required for the role tool",
            _ => "is allowed for the role tool only",
        };
        errors.add(path.key("tool_call_id"), error_message);
    }
    let needs_no_content = (is_assistant && calls.is_some()) || is_returned_reply || has_refusal;
    match given("content") {
        None if !needs_no_content => {
            let error_message = match role {
                "assistant" => "is required, unless there are tool_calls",
                _ => "is required",
            };
            errors.add(path.key("content"), error_message);
        }
        Some(content) => {
            let may_be_empty = role == "tool" || needs_no_content;
            check_content(content, path.key("content"), may_be_empty, errors);
        }
        None => {}
    }
}

fn check_content(
    content: &Value,
    path: FieldPath<'_>,
    may_be_empty: bool,
    errors: &mut FieldErrors,
) {
    let is_empty_text = |value: &Value| value.as_str().is_some_and(str::is_empty);
    let parts = content.as_array();
    if !may_be_empty && (is_empty_text(content) || parts.is_some_and(Vec::is_empty)) {
        let error_message =
            format_args!("must be a non-empty string or an array of 1 to {PARTS_MAX} parts");
        errors.add(path, error_message);
    }
    for (index, part) in parts.into_iter().flatten().take(PARTS_MAX).enumerate() {
        let path = path.index(index);
        for name in ["text", "refusal"] {
            if !may_be_empty && part.get(name).is_some_and(is_empty_text) {
                errors.add(path.key(name), "must be a non-empty string");
            }
        }
    }
}
