//! What a job asks of a model, in the terms of OpenAI's chat completions.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    document::{Document, DocumentVersion, UnknownFields},
    turn::{ToolKind, Turn},
};

/// What a job asks of a model. The gateway validates the request, and the worker that runs the job reads it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The version of the document's form.
    #[serde(default)]
    pub v: DocumentVersion,
    /// The turns that this job adds to its session.
    pub input: Vec<Turn>,
    /// The number of the first turn of the session that the job replaces. The input and the reply replace this turn and all later
    /// ones. A request with this field has version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_from_turn: Option<u64>,
    /// Instructions to the model for this job only; not kept in the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Tools that the model may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether the model must call a tool, and which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// The form of the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// How long a reasoning model should think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// The sampling temperature, 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The share of the most likely tokens to sample from: above 0, at most 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts at which the reply ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// The most tokens of a reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// How much of the session is sent to the provider.
    #[serde(default, skip_serializing_if = "ContextBounds::is_empty")]
    pub context: ContextBounds,
    /// How long the session waits for tool results after this job's reply calls tools, in seconds.
    pub tool_wait_s: u32,
    /// Fields that go into the provider's request unchanged.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra_body: Map<String, Value>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Request {
    /// The version of a request. It is higher for a request that replaces turns, because a release that does not know replacements must
    /// not run its job.
    #[must_use]
    pub const fn version_for(replace_from_turn: Option<u64>) -> DocumentVersion {
        match replace_from_turn {
            Some(_) => Self::KNOWN,
            None => DocumentVersion::FIRST,
        }
    }

    /// Whether the session keeps the input if a newer message interrupts the job. A job that replaces turns changes the session only
    /// when it completes.
    #[must_use]
    pub const fn keeps_input(&self) -> bool {
        self.replace_from_turn.is_none()
    }
}

impl Document for Request {
    const NAME: &'static str = "request of a job";
    const KNOWN: DocumentVersion = DocumentVersion(2);

    fn version(&self) -> DocumentVersion {
        self.v
    }
}

/// How much of the session is sent to the provider with a job's input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextBounds {
    /// The most turns, the input included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// The most tokens of turns, instructions and tools, estimated from the provider's earlier counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u32>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl ContextBounds {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// The kind of the tool.
    #[serde(rename = "type")]
    pub kind: ToolKind,
    /// The function; empty for a kind of tool that this release does not know.
    #[serde(default, skip_serializing_if = "FunctionDefinition::is_empty")]
    pub function: FunctionDefinition,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// A function as the model sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionDefinition {
    /// The function's name.
    pub name: String,
    /// What the function does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The function's parameters, as a JSON Schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// Whether the arguments must follow the schema exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl FunctionDefinition {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether the model must call a tool, and which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToolChoice {
    /// Whether the model must call any tool.
    Mode(ToolChoiceMode),
    /// The model must call this function.
    Function {
        /// The kind of the tool.
        #[serde(rename = "type")]
        kind: ToolKind,
        /// The function that must be called.
        function: ToolChoiceFunction,
        /// Fields that this release does not know.
        #[serde(flatten)]
        unknown: UnknownFields,
    },
    /// A form of this choice that this release does not know.
    Unknown(Value),
}

/// Whether the model must call a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolChoiceMode {
    /// The model must not call a tool.
    None,
    /// The model decides.
    Auto,
    /// The model must call at least one tool.
    Required,
    /// A mode that this release does not know.
    #[serde(untagged)]
    Unknown(Box<str>),
}

/// The function that must be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolChoiceFunction {
    /// The function's name.
    pub name: String,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The form of the reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Any text.
    Text {
        /// Fields that this release does not know.
        #[serde(flatten)]
        unknown: UnknownFields,
    },
    /// A JSON object.
    JsonObject {
        /// Fields that this release does not know.
        #[serde(flatten)]
        unknown: UnknownFields,
    },
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema and its name.
        json_schema: JsonSchema,
        /// Fields that this release does not know.
        #[serde(flatten)]
        unknown: UnknownFields,
    },
    /// A form that this release does not know.
    #[serde(untagged)]
    Unknown(Box<Map<String, Value>>),
}

/// A schema for the reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JsonSchema {
    /// The schema's name.
    pub name: String,
    /// What the schema is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema itself.
    pub schema: Value,
    /// Whether the reply must follow the schema exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// How long a reasoning model should think.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the providers' own words")]
pub enum ReasoningEffort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    /// A word that this release does not know.
    #[serde(untagged)]
    Unknown(Box<str>),
}

/// Texts at which the reply ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Stop {
    /// One text.
    One(String),
    /// Several texts, at most four.
    Many(Vec<String>),
}

impl Stop {
    /// All texts.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}
