//! The rules that a schema cannot express, because they depend on several fields or on bytes. Each is stated in the
//! description of its field in `submit_body`.
//!
//! The rules read the parsed JSON and not the typed body. So they also find faults in a body that the schema refuses, and one
//! response names all faults.

use forebay_shared::{ids::SessionId, job::extra_body_refusal};
use serde_json::{Map, Value};

use super::{
    field_errors::FieldErrors, field_path::FieldPath, message_rules, submit_body::TOOLS_MAX,
};

/// Adds an error for each field that breaks a rule. A value of the wrong type is left to the schema.
pub(super) fn check(body: &Value, has_default_model: bool, errors: &mut FieldErrors) {
    let Some(fields) = body.as_object() else {
        return;
    };
    let root = FieldPath::Root;
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    if given("input").is_none() && given("replace_from_turn").is_none() {
        errors.add(root.key("input"), "is required");
    }
    if given("replace_from_turn").is_some() && given("session_id").is_none() {
        let error_message = "is required with replace_from_turn";
        errors.add(root.key("session_id"), error_message);
    }
    if let Some(messages) = given("input").and_then(Value::as_array) {
        message_rules::check(messages, root.key("input"), errors);
        if message_rules::is_tool_results(messages) && given("replace_from_turn").is_some() {
            let error_message = "must be absent when the input consists of tool results";
            errors.add(root.key("replace_from_turn"), error_message);
        }
        if message_rules::is_tool_results(messages) && given("session_id").is_none() {
            let error_message = "is required when the input consists of tool results";
            errors.add(root.key("session_id"), error_message);
        }
    }
    if let Some(id) = given("session_id").and_then(Value::as_str)
        && let Err(error) = SessionId::parse(id)
    {
        let error_message = format_args!("must be {}", error.allowed);
        errors.add(root.key("session_id"), error_message);
    }
    // The session may have a default model.
    if given("model").is_none() && given("session_id").is_none() && !has_default_model {
        let error_message =
            "is required, because this gateway has no default model; FOREBAY_MODEL sets one";
        errors.add(root.key("model"), error_message);
    }
    let waits = |word: &Value| word == "enqueue";
    if given("if_busy").is_some_and(|word| !waits(word)) && given("session_id").is_none() {
        let error_message = "must be enqueue when there is no session_id";
        errors.add(root.key("if_busy"), error_message);
    }
    check_tools(fields, root, errors);
    if let Some(extra) = given("extra_body").and_then(Value::as_object) {
        let path = root.key("extra_body");
        for (name, value) in extra {
            if let Some(why) = extra_body_refusal(name, value) {
                errors.add(path.key(name), format_args!("must be absent: {why}"));
            }
        }
    }
}

/// Checks that the names of the tools in the object at this path differ, and that `tool_choice` names one of the tools.
pub(super) fn check_tools(
    fields: &Map<String, Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let tools = fields.get("tools").and_then(Value::as_array);
    let mut names: Vec<&str> = Vec::new();
    // The schema refuses more tools.
    for (index, tool) in tools.into_iter().flatten().take(TOOLS_MAX).enumerate() {
        let list = path.key("tools");
        let element = list.index(index);
        let path = element.key("function");
        let name = tool
            .get("function")
            .and_then(|function| function.get("name"));
        let Some(name) = name.and_then(Value::as_str) else {
            continue;
        };
        if names.contains(&name) {
            let error_message = "must differ from the names of the other tools";
            errors.add(path.key("name"), error_message);
        } else {
            names.push(name);
        }
    }
    let path = path.key("tool_choice");
    match fields.get("tool_choice") {
        Some(Value::String(mode)) if mode == "required" && names.is_empty() => {
            errors.add(path, "must not be required when there are no tools");
        }
        Some(Value::Object(choice)) => {
            let function = choice.get("function");
            let name = function.and_then(|function| function.get("name")?.as_str());
            if name.is_some_and(|name| !names.contains(&name)) {
                let path = path.key("function");
                errors.add(path.key("name"), "must be the name of one of the tools");
            }
        }
        _ => {}
    }
}
