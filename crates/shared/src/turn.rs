//! A turn: one message of a session, in the form of OpenAI's chat messages.
//!
//! `extra_content` holds data that a provider added and expects back unchanged, such as Gemini's thought
//! signatures. This crate does not read it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::document::{Document, DocumentVersion, UnknownFields};

/// The maximum number of tool calls in one turn, in replies and in inputs.
pub const TOOL_CALLS_MAX: usize = 1_000;

/// The author of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The operator's rules.
    System,
    /// The operator's rules, by the name that OpenAI's newer models use.
    Developer,
    /// The person or program that talks to the model.
    User,
    /// The model.
    Assistant,
    /// The result of a tool that the model called.
    Tool,
    /// A role that this release does not know.
    #[serde(untagged)]
    Unknown(Box<str>),
}

/// One message of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    /// The author of the turn.
    pub role: Role,
    /// The content; absent in a reply that only calls tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The name of the author, for providers that accept names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tools that the assistant calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The id of the call that a turn of role `tool` answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Data that a provider added and expects back unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<Value>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Document for Turn {
    const NAME: &'static str = "turn";

    /// Turns of this release have no field `v`. A `v` that a newer release wrote is among the unknown fields.
    fn version(&self) -> DocumentVersion {
        self.unknown.version()
    }
}

impl Turn {
    /// A turn of this role without content.
    #[must_use]
    pub const fn empty(role: Role) -> Self {
        Self {
            role,
            content: None,
            name: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            extra_content: None,
            unknown: UnknownFields::NONE,
        }
    }

    /// A turn of plain text.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            content: Some(Content::Text(text.into())),
            ..Self::empty(role)
        }
    }
}

impl Turn {
    /// The bytes of the turn as JSON, as the store counts them.
    #[must_use]
    pub fn json_bytes(&self) -> usize {
        let mut counter = ByteCounter(0);
        // A turn always has a JSON form, and the counter accepts all bytes.
        let _ = serde_json::to_writer(&mut counter, self);
        counter.0
    }
}

/// Counts the bytes that are written to it.
struct ByteCounter(usize);

impl std::io::Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The content of a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Text and images, in order.
    Parts(Vec<Part>),
}

impl Content {
    /// All text of the content, without the images.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Text { text, .. } => Some(text.as_str()),
                    Part::ImageUrl { .. } | Part::Unknown(_) => None,
                })
                .collect(),
        }
    }
}

/// A piece of a turn's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// A piece of text.
    Text {
        /// The text.
        text: String,
        /// Data that a provider added and expects back unchanged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        extra_content: Option<Value>,
        /// Fields that this release does not know.
        #[serde(flatten)]
        unknown: UnknownFields,
    },
    /// The address of an image. Forebay does not fetch the image.
    ImageUrl {
        /// The image's address.
        image_url: ImageUrl,
        /// Fields that this release does not know.
        #[serde(flatten)]
        unknown: UnknownFields,
    },
    /// A part of a type that this release does not know.
    #[serde(untagged)]
    Unknown(Box<Map<String, Value>>),
}

/// The address of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageUrl {
    /// An `https:` URL, or a `data:` URL with the image in base64.
    pub url: String,
    /// The level of detail in which the model sees the image: `auto`, `low` or `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// A call of a tool by the assistant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCall {
    /// The id that the result must carry as its `tool_call_id`.
    pub id: String,
    /// What kind of tool is called.
    #[serde(rename = "type", default)]
    pub kind: ToolKind,
    /// The function that is called; empty for a kind of tool that this release does not know.
    #[serde(default, skip_serializing_if = "FunctionCall::is_empty")]
    pub function: FunctionCall,
    /// Data that a provider added and expects back unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<Value>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// A kind of tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToolKind {
    /// A function that the client runs.
    #[default]
    Function,
    /// A kind of tool that this release does not know.
    #[serde(untagged)]
    Unknown(Box<str>),
}

/// The function that the model calls, and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionCall {
    /// The function's name.
    pub name: String,
    /// The arguments: JSON as the model wrote it, so it may be invalid.
    pub arguments: String,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl FunctionCall {
    fn is_empty(&self) -> bool {
        self.name.is_empty() && self.arguments.is_empty() && self.unknown.is_empty()
    }
}
