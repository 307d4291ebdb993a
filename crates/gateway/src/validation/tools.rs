//! The tools that a model may call, and whether it must.

use forebay_shared::{
    job::{FunctionDefinition, Tool, ToolChoice, ToolChoiceFunction, ToolChoiceMode},
    turn::FunctionKind,
};
use serde_json::Value;

use super::{
    faults::Faults,
    fields::{Object, flag, list, name, opaque_object, text, word},
    path::Path,
};

const TOOLS_MAX: usize = 128;
const KINDS: [(&str, FunctionKind); 1] = [("function", FunctionKind::Function)];

/// Reads the tools; none if there are none.
pub(super) fn read(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Vec<Tool> {
    let values = list(value, at, 0..=TOOLS_MAX, faults).unwrap_or_default();
    let mut tools: Vec<Tool> = Vec::with_capacity(values.len());
    for (place, value) in values.into_iter().enumerate() {
        let at = at.index(place);
        let Some(tool) = tool(value, at, faults) else {
            continue;
        };
        if has(&tools, &tool.function.name) {
            let function = at.key("function");
            faults.add(
                function.key("name"),
                "must differ from the names of the other tools",
            );
        }
        tools.push(tool);
    }
    tools
}

fn has(tools: &[Tool], name: &str) -> bool {
    tools.iter().any(|tool| tool.function.name == name)
}

fn tool(value: Value, at: Path<'_>, faults: &mut Faults) -> Option<Tool> {
    let mut fields = Object::of(value, at, faults)?;
    let kind = word(
        fields.require("type", faults),
        at.key("type"),
        &KINDS,
        faults,
    );
    let function = fields.require("function", faults);
    let function = function.and_then(|value| definition(value, at.key("function"), faults));
    fields.finish("type, function", faults);
    Some(Tool {
        kind: kind?,
        function: function?,
    })
}

fn definition(value: Value, at: Path<'_>, faults: &mut Faults) -> Option<FunctionDefinition> {
    let mut fields = Object::of(value, at, faults)?;
    let called = fields.require("name", faults);
    let called = name(called, at.key("name"), faults);
    let description = fields.take("description");
    let description = text(description, at.key("description"), 0..=usize::MAX, faults);
    let parameters = fields.take("parameters");
    let parameters = opaque_object(parameters, at.key("parameters"), faults);
    let strict = flag(fields.take("strict"), at.key("strict"), faults);
    fields.finish("name, description, parameters, strict", faults);
    Some(FunctionDefinition {
        name: called?,
        description,
        parameters: parameters.map(Value::Object),
        strict,
    })
}

/// Reads whether and which tool the model must call. One that must be called must be there.
pub(super) fn choice(
    value: Option<Value>,
    at: Path<'_>,
    tools: &[Tool],
    faults: &mut Faults,
) -> Option<ToolChoice> {
    let value = value?;
    if value.is_object() {
        return function(value, at, tools, faults);
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
        let allowed =
            r#"must be none, auto, required, or {"type": "function", "function": {"name": NAME}}"#;
        faults.add(at, allowed);
        return None;
    };
    if *mode == ToolChoiceMode::Required && tools.is_empty() {
        faults.add(at, "must not be required when there are no tools");
    }
    Some(ToolChoice::Mode(*mode))
}

fn function(value: Value, at: Path<'_>, tools: &[Tool], faults: &mut Faults) -> Option<ToolChoice> {
    let mut fields = Object::of(value, at, faults)?;
    let kind = word(
        fields.require("type", faults),
        at.key("type"),
        &KINDS,
        faults,
    );
    let function = fields.require("function", faults);
    fields.finish("type, function", faults);
    let at = at.key("function");
    let mut fields = Object::of(function?, at, faults)?;
    let called = fields.require("name", faults);
    let called = name(called, at.key("name"), faults);
    fields.finish("name", faults);
    let name = called?;
    if !has(tools, &name) {
        faults.add(at.key("name"), "must be the name of one of the tools");
    }
    Some(ToolChoice::Function {
        kind: kind?,
        function: ToolChoiceFunction { name },
    })
}
