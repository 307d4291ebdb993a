//! Values that Forebay does not read, such as the parameters of a tool: it stores them and sends them on.
//!
//! They may be large trees. Serde would build each again, and both trees would be in memory. So they are moved out of the body
//! before serde reads it, and a number stands in the body instead.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How deep an opaque value may be nested. The JSON parser's limit is 128. This limit is far lower, because such values are
/// stored and sent inside other documents.
const DEPTH_MAX: usize = 64;

/// The number of a value in [`OpaqueValues`]; `None` for an absent value and for null.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::validation) struct Opaque(Option<usize>);

impl JsonSchema for Opaque {
    fn schema_name() -> Cow<'static, str> {
        "Opaque".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-depth-max": DEPTH_MAX})
    }
}

/// The opaque values of a body.
#[derive(Debug, Default)]
pub(in crate::validation) struct OpaqueValues(Vec<Value>);

impl OpaqueValues {
    /// Moves a value out of the body. Null stays.
    pub(in crate::validation) fn move_out(&mut self, value: &mut Value) {
        if !value.is_null() {
            let number = Value::from(self.0.len());
            self.0.push(std::mem::replace(value, number));
        }
    }

    /// Takes the value out. Each value can be taken once.
    pub(super) fn take(&mut self, opaque: Opaque) -> Option<Value> {
        self.0.get_mut(opaque.0?).map(Value::take)
    }

    /// Takes out the value of a field that accepts only objects. Each value can be taken once.
    pub(in crate::validation) fn take_object(
        &mut self,
        opaque: Opaque,
    ) -> Option<Map<String, Value>> {
        match self.take(opaque)? {
            Value::Object(fields) => Some(fields),
            _ => None,
        }
    }
}
