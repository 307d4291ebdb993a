//! Fields of replies that a message may have, and whose values are not kept.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

/// A field that is accepted, and whose value is not kept. Only the provider that returned such a value could use it, and
/// the input does not name this provider.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Ignored {
    fn schema_name() -> Cow<'static, str> {
        "Ignored".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "A field of replies. It is accepted and not kept.", "x-unused": true})
    }
}

/// A field that must be null or empty: its value would be a part of the reply, and it cannot be kept. SDKs also write such fields
/// when they are empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Empty;

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Empty {
    fn schema_name() -> Cow<'static, str> {
        "Empty".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A field of replies that must have no value here.",
            "type": ["null", "string", "array", "object"],
            "maxLength": 0,
            "maxItems": 0,
            "maxProperties": 0,
            "x-allowed": "null or empty",
            "x-unused": true,
        })
    }
}
