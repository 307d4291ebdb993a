//! The tools that a model may call, and `tool_choice`, which decides whether it must call a tool.

use forebay_shared::{
    document::UnknownFields,
    job::{FunctionDefinition, Tool, ToolChoice, ToolChoiceFunction, ToolChoiceMode},
    turn::ToolKind,
};
use serde_json::Value;

use super::{
    field_errors::FieldErrors,
    field_path::FieldPath,
    values::{Object, array, boolean, identifier, one_of, opaque_object, string},
};

const TOOLS_MAX: usize = 128;
const TOOL_KINDS: [(&str, ToolKind); 1] = [("function", ToolKind::Function)];

/// Reads the tools. An absent field is an empty list.
pub(super) fn read(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<Tool> {
    let values = array(value, path, 0..=TOOLS_MAX, errors).unwrap_or_default();
    let mut tools: Vec<Tool> = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let path = path.index(index);
        let Some(tool) = tool(value, path, errors) else {
            continue;
        };
        if contains_name(&tools, &tool.function.name) {
            let function = path.key("function");
            errors.add(
                function.key("name"),
                "must differ from the names of the other tools",
            );
        }
        tools.push(tool);
    }
    tools
}

fn contains_name(tools: &[Tool], name: &str) -> bool {
    tools.iter().any(|tool| tool.function.name == name)
}

fn tool(value: Value, path: FieldPath<'_>, errors: &mut FieldErrors) -> Option<Tool> {
    let mut fields = Object::new(value, path, errors)?;
    let kind = one_of(
        fields.require("type", errors),
        path.key("type"),
        &TOOL_KINDS,
        errors,
    );
    let function = fields.require("function", errors);
    let function =
        function.and_then(|value| function_definition(value, path.key("function"), errors));
    fields.refuse_unknown("type, function", errors);
    Some(Tool {
        kind: kind?,
        function: function?,
        unknown: UnknownFields::NONE,
    })
}

fn function_definition(
    value: Value,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<FunctionDefinition> {
    let mut fields = Object::new(value, path, errors)?;
    let name = fields.require("name", errors);
    let name = identifier(name, path.key("name"), errors);
    let description = fields.take("description");
    let description = string(description, path.key("description"), 0..=usize::MAX, errors);
    let parameters = fields.take("parameters");
    let parameters = opaque_object(parameters, path.key("parameters"), errors);
    let strict = boolean(fields.take("strict"), path.key("strict"), errors);
    fields.refuse_unknown("name, description, parameters, strict", errors);
    Some(FunctionDefinition {
        name: name?,
        description,
        parameters: parameters.map(Value::Object),
        strict,
        unknown: UnknownFields::NONE,
    })
}

/// Reads `tool_choice`. If it names a tool, `tools` must contain that tool.
pub(super) fn choice(
    value: Option<Value>,
    path: FieldPath<'_>,
    tools: &[Tool],
    errors: &mut FieldErrors,
) -> Option<ToolChoice> {
    let value = value?;
    if value.is_object() {
        return chosen_function(value, path, tools, errors);
    }
    let modes = [
        ("none", ToolChoiceMode::None),
        ("auto", ToolChoiceMode::Auto),
        ("required", ToolChoiceMode::Required),
    ];
    let mode = value
        .as_str()
        .and_then(|text| modes.iter().find(|(word, _)| *word == text));
    let Some((_, mode)) = mode else {
        let error_message =
            r#"must be none, auto, required, or {"type": "function", "function": {"name": NAME}}"#;
        errors.add(path, error_message);
        return None;
    };
    if *mode == ToolChoiceMode::Required && tools.is_empty() {
        errors.add(path, "must not be required when there are no tools");
    }
    Some(ToolChoice::Mode(mode.clone()))
}

fn chosen_function(
    value: Value,
    path: FieldPath<'_>,
    tools: &[Tool],
    errors: &mut FieldErrors,
) -> Option<ToolChoice> {
    let mut fields = Object::new(value, path, errors)?;
    let kind = one_of(
        fields.require("type", errors),
        path.key("type"),
        &TOOL_KINDS,
        errors,
    );
    let function = fields.require("function", errors);
    fields.refuse_unknown("type, function", errors);
    let path = path.key("function");
    let mut fields = Object::new(function?, path, errors)?;
    let name = fields.require("name", errors);
    let name = identifier(name, path.key("name"), errors);
    fields.refuse_unknown("name", errors);
    let name = name?;
    if !contains_name(tools, &name) {
        errors.add(path.key("name"), "must be the name of one of the tools");
    }
    Some(ToolChoice::Function {
        kind: kind?,
        function: ToolChoiceFunction {
            name,
            unknown: UnknownFields::NONE,
        },
        unknown: UnknownFields::NONE,
    })
}
