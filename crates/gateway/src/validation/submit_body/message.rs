//! The input: a string, or an array of messages in the form of OpenAI's chat messages.
//!
//! Clients send replies back as an SDK or another proxy returned them. So fields that only replies have are accepted.
//! Except for `refusal` and `tool_calls`, their values are not kept.

use std::borrow::Cow;

use forebay_shared::{
    document::UnknownFields,
    turn::{self, TOOL_CALLS_MAX, Turn},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::{
    content::{Content, with_refusal},
    opaque::{Opaque, OpaqueValues},
    text_or::TextOr,
    tool::ToolKind,
    unused::{Empty, Ignored},
};

pub(in crate::validation) const MESSAGES_MAX: usize = 200;
/// The most characters of the id and of the name in a tool call. Models make up long names, and some proxies write the
/// provider's data into the id.
const TOOL_CALL_TEXT_CHARS_MAX: usize = 65_536;
const NAME_CHARS_MAX: usize = 128;

/// The input of a job.
#[derive(Debug, Deserialize)]
pub(in crate::validation) struct Input(TextOr<Message>);

impl JsonSchema for Input {
    fn schema_name() -> Cow<'static, str> {
        "Input".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array"],
            "minLength": 1,
            "minItems": 1,
            "maxItems": MESSAGES_MAX,
            "items": generator.subschema_for::<Message>(),
            "x-elements": "messages",
        })
    }
}

impl Input {
    /// The input as it is stored.
    pub(in crate::validation) fn into_turns(self, values: &mut OpaqueValues) -> Vec<Turn> {
        match self.0 {
            TextOr::Text(text) => vec![Turn::text(turn::Role::User, text)],
            TextOr::List(messages) => messages
                .into_iter()
                .map(|message| message.into_turn(values))
                .collect(),
        }
    }
}

/// The turns of a session that a client writes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("x-elements" = "messages"))]
pub(in crate::validation) struct Turns(Vec<Message>);

impl Turns {
    /// The turns as they are stored.
    pub(in crate::validation) fn into_turns(self, values: &mut OpaqueValues) -> Vec<Turn> {
        let messages = self.0.into_iter();
        messages.map(|message| message.into_turn(values)).collect()
    }
}

/// A message. An unknown field is ignored if it is null. An assistant message counts as a reply that an SDK or a proxy returned if it
/// has a `content`, which may be null, and a field that only replies have. Such a message may be empty.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = {"type": "null"}))]
#[expect(dead_code, reason = "some fields are accepted and not kept")]
struct Message {
    /// The author.
    role: Role,
    /// Required, except in a reply with `tool_calls` or a `refusal`. The content may be empty only in a reply of a provider
    /// or with the role `tool`.
    content: Option<Content>,
    /// The name of the author, for providers that accept names.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX))]
    name: Option<String>,
    /// Tools that the assistant calls. Allowed for the role `assistant` only. The list may be empty only in a reply that a
    /// provider returned.
    #[schemars(length(max = TOOL_CALLS_MAX))]
    tool_calls: Option<Vec<ToolCall>>,
    /// The id of the call that a message of the role `tool` answers. Required for this role, and allowed for no other.
    tool_call_id: Option<CallId>,
    /// A refusal in a reply. It is kept as text.
    refusal: Option<String>,
    /// Data that a provider added and expects back unchanged, nested at most 64 levels deep.
    #[serde(default)]
    extra_content: Opaque,
    #[serde(default)]
    annotations: Ignored,
    #[serde(default)]
    index: Ignored,
    /// The number of the turn, as `GET /v1/sessions/{id}` shows it. It is accepted and not kept.
    #[serde(default)]
    number: Ignored,
    #[serde(default)]
    parsed: Ignored,
    #[serde(default)]
    provider_specific_fields: Ignored,
    #[serde(default)]
    reasoning: Ignored,
    #[serde(default)]
    reasoning_content: Ignored,
    #[serde(default)]
    reasoning_details: Ignored,
    #[serde(default)]
    thinking_blocks: Ignored,
    #[serde(default)]
    audio: Empty,
    #[serde(default)]
    function_call: Empty,
    #[serde(default)]
    images: Empty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

impl From<Role> for turn::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::System => Self::System,
            Role::Developer => Self::Developer,
            Role::User => Self::User,
            Role::Assistant => Self::Assistant,
            Role::Tool => Self::Tool,
        }
    }
}

impl Message {
    fn into_turn(self, values: &mut OpaqueValues) -> Turn {
        let content = self.content.map(|content| content.stored(values));
        let content = match self.role {
            Role::Assistant => with_refusal(content, self.refusal.filter(|text| !text.is_empty())),
            _ => content,
        };
        let tool_calls = self.tool_calls.unwrap_or_default();
        Turn {
            role: self.role.into(),
            content,
            name: self.name,
            tool_calls: tool_calls
                .into_iter()
                .map(|call| call.stored(values))
                .collect(),
            tool_call_id: self.tool_call_id.map(|id| id.0),
            extra_content: values.take(self.extra_content),
            unknown: UnknownFields::NONE,
        }
    }
}

/// The id of a tool call. Some clients and providers use numbers, which are kept as text.
#[derive(Debug)]
struct CallId(String);

impl<'de> Deserialize<'de> for CallId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(de::Error::custom("not a string or a number")),
        }
    }
}

impl JsonSchema for CallId {
    fn schema_name() -> Cow<'static, str> {
        "CallId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "minLength": 1,
            "maxLength": TOOL_CALL_TEXT_CHARS_MAX,
        })
    }
}

/// A call of a tool, in a reply. An unknown field is ignored if it is null.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = {"type": "null"}))]
#[expect(dead_code, reason = "some fields are accepted and not kept")]
struct ToolCall {
    /// The id that the result must carry as its `tool_call_id`.
    id: CallId,
    /// The kind of the tool. Default: `function`.
    #[serde(rename = "type")]
    kind: Option<ToolKind>,
    /// The function that is called.
    function: FunctionCall,
    /// Data that a provider added and expects back unchanged, nested at most 64 levels deep.
    #[serde(default)]
    extra_content: Opaque,
    #[serde(default)]
    index: Ignored,
    #[serde(default)]
    parsed_arguments: Ignored,
    #[serde(default)]
    provider_specific_fields: Ignored,
}

/// A function that is called. An unknown field is ignored if it is null.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = {"type": "null"}))]
#[expect(dead_code, reason = "some fields are accepted and not kept")]
struct FunctionCall {
    /// The function's name.
    #[schemars(length(max = TOOL_CALL_TEXT_CHARS_MAX))]
    name: String,
    /// The arguments: JSON as the model wrote it, so it may be invalid.
    arguments: String,
    #[serde(default)]
    index: Ignored,
    #[serde(default)]
    parsed_arguments: Ignored,
    #[serde(default)]
    provider_specific_fields: Ignored,
}

impl ToolCall {
    fn stored(self, values: &mut OpaqueValues) -> turn::ToolCall {
        turn::ToolCall {
            id: self.id.0,
            kind: turn::ToolKind::Function,
            function: turn::FunctionCall {
                name: self.function.name,
                arguments: self.function.arguments,
                unknown: UnknownFields::NONE,
            },
            extra_content: values.take(self.extra_content),
            unknown: UnknownFields::NONE,
        }
    }
}
