//! The form of the reply, the effort of reasoning, and the texts at which the reply ends.

use std::borrow::Cow;

use forebay_shared::{document::UnknownFields, job};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    opaque::{Opaque, OpaqueValues},
    text_or::TextOr,
};

/// The form of the name of a function or a schema.
pub(super) const NAME_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";
/// The same form in words.
pub(super) const NAME_ALLOWED: &str = "a string of 1 to 64 characters from A-Z a-z 0-9 _ -";
const STOPS_MAX: usize = 4;

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::validation) enum ReasoningEffort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
}

impl From<ReasoningEffort> for job::ReasoningEffort {
    fn from(effort: ReasoningEffort) -> Self {
        match effort {
            ReasoningEffort::None => Self::None,
            ReasoningEffort::Minimal => Self::Minimal,
            ReasoningEffort::Low => Self::Low,
            ReasoningEffort::Medium => Self::Medium,
            ReasoningEffort::High => Self::High,
            ReasoningEffort::Xhigh => Self::Xhigh,
        }
    }
}

/// Texts at which the reply ends.
#[derive(Debug, Deserialize)]
pub(in crate::validation) struct Stop(TextOr<String>);

impl JsonSchema for Stop {
    fn schema_name() -> Cow<'static, str> {
        "Stop".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array"],
            "minLength": 1,
            "minItems": 1,
            "maxItems": STOPS_MAX,
            "items": {"type": "string", "minLength": 1},
        })
    }
}

impl From<Stop> for job::Stop {
    fn from(stop: Stop) -> Self {
        match stop.0 {
            TextOr::Text(text) => Self::One(text),
            TextOr::List(texts) => Self::Many(texts),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::validation) enum ResponseFormat {
    /// Any text.
    Text {},
    /// A JSON object.
    JsonObject {},
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema and its name.
        json_schema: ReplySchema,
    },
}

/// A schema for the reply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::validation) struct ReplySchema {
    /// The schema's name.
    #[schemars(regex(pattern = NAME_PATTERN), extend("x-allowed" = NAME_ALLOWED))]
    name: String,
    /// What the schema is for.
    description: Option<String>,
    /// The JSON Schema itself, nested at most 64 levels deep.
    #[schemars(extend("type" = "object"))]
    schema: Opaque,
    /// Whether the reply must follow the schema exactly.
    strict: Option<bool>,
}

impl ResponseFormat {
    /// The format as it is stored.
    pub(in crate::validation) fn stored(self, values: &mut OpaqueValues) -> job::ResponseFormat {
        let unknown = UnknownFields::NONE;
        match self {
            Self::Text {} => job::ResponseFormat::Text { unknown },
            Self::JsonObject {} => job::ResponseFormat::JsonObject { unknown },
            Self::JsonSchema { json_schema } => job::ResponseFormat::JsonSchema {
                json_schema: job::JsonSchema {
                    name: json_schema.name,
                    description: json_schema.description,
                    schema: values.take(json_schema.schema).unwrap_or_default(),
                    strict: json_schema.strict,
                    unknown: UnknownFields::NONE,
                },
                unknown,
            },
        }
    }
}
