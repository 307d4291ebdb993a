//! The tools that a model may call, and `tool_choice`, which decides whether it must call a tool.

use std::borrow::Cow;

use forebay_shared::{document::UnknownFields, job, turn};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    opaque::{Opaque, OpaqueValues},
    reply::{NAME_ALLOWED, NAME_PATTERN},
};

/// The only kind of tool.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::validation) enum ToolKind {
    #[default]
    Function,
}

/// A tool that the model may call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::validation) struct Tool {
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "a tool must name its kind, and there is one kind")]
    kind: ToolKind,
    /// The function as the model sees it.
    function: FunctionDefinition,
}

/// A function as the model sees it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FunctionDefinition {
    /// The function's name.
    #[schemars(regex(pattern = NAME_PATTERN), extend("x-allowed" = NAME_ALLOWED))]
    name: String,
    /// What the function does.
    description: Option<String>,
    /// The function's parameters, as a JSON Schema nested at most 64 levels deep.
    #[serde(default)]
    #[schemars(extend("type" = ["object", "null"]))]
    parameters: Opaque,
    /// Whether the arguments must follow the schema exactly.
    strict: Option<bool>,
}

impl Tool {
    /// The tool as it is stored.
    pub(in crate::validation) fn stored(self, values: &mut OpaqueValues) -> job::Tool {
        let function = self.function;
        job::Tool {
            kind: turn::ToolKind::Function,
            function: job::FunctionDefinition {
                name: function.name,
                description: function.description,
                parameters: values.take(function.parameters),
                strict: function.strict,
                unknown: UnknownFields::NONE,
            },
            unknown: UnknownFields::NONE,
        }
    }
}

/// Whether the model must call a tool, and which.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::validation) enum ToolChoice {
    Mode(ToolChoiceMode),
    Function(ChosenTool),
}

impl JsonSchema for ToolChoice {
    fn schema_name() -> Cow<'static, str> {
        "ToolChoice".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                generator.subschema_for::<ToolChoiceMode>(),
                generator.subschema_for::<ChosenTool>(),
            ],
            "x-allowed": r#"none, auto, required, or {"type": "function", "function": {"name": NAME}}"#,
        })
    }
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::validation) enum ToolChoiceMode {
    /// The model must not call a tool.
    None,
    /// The model decides.
    Auto,
    /// The model must call at least one tool.
    Required,
}

/// The model must call this function.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::validation) struct ChosenTool {
    #[serde(rename = "type")]
    #[expect(
        dead_code,
        reason = "a choice must name the kind of its tool, and there is one kind"
    )]
    kind: ToolKind,
    /// The function that must be called.
    function: ChosenFunction,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChosenFunction {
    /// The function's name.
    #[schemars(regex(pattern = NAME_PATTERN), extend("x-allowed" = NAME_ALLOWED))]
    name: String,
}

impl From<ToolChoice> for job::ToolChoice {
    fn from(choice: ToolChoice) -> Self {
        match choice {
            ToolChoice::Mode(mode) => Self::Mode(match mode {
                ToolChoiceMode::None => job::ToolChoiceMode::None,
                ToolChoiceMode::Auto => job::ToolChoiceMode::Auto,
                ToolChoiceMode::Required => job::ToolChoiceMode::Required,
            }),
            ToolChoice::Function(chosen) => Self::Function {
                kind: turn::ToolKind::Function,
                function: job::ToolChoiceFunction {
                    name: chosen.function.name,
                    unknown: UnknownFields::NONE,
                },
                unknown: UnknownFields::NONE,
            },
        }
    }
}
