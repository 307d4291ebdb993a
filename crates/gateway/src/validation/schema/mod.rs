//! The JSON Schemas of bodies: derived from [`SubmitBody`] and the other types, published in the OpenAPI document, and the rules by which
//! each body is validated.
//!
//! - `compile`: turns the published schema into a form that is fast to check.
//! - `check`: checks a body, and names each fault.
//! - `move_opaque`: moves values out of a body that are not read.
//! - `sentence`: what a value must be, in words.
//!
//! Why not a library: those for JSON Schema collect all faults before they return. A body of 10 MiB can have millions. They
//! also name a fault by keyword, and not by what the field accepts. A test compares this one with such a library.

mod check;
mod compile;
mod kinds;
mod move_opaque;
mod sentence;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use self::compile::Node;
use super::{
    field_errors::FieldErrors,
    field_path::FieldPath,
    session_body::{ForkBody, SessionBody, SessionPatchBody},
    submit_body::{OpaqueValues, SubmitBody},
};

/// The schema of a body: as it is published, and as it is checked.
pub(crate) struct BodySchema {
    published: Value,
    compiled: Node,
}

/// The schema of a submit.
pub(crate) static SUBMIT: LazyLock<BodySchema> = LazyLock::new(BodySchema::of::<SubmitBody>);
/// The schema of a session to write.
pub(crate) static SESSION: LazyLock<BodySchema> = LazyLock::new(BodySchema::of::<SessionBody>);
/// The schema of a change of a session's settings.
pub(crate) static SESSION_PATCH: LazyLock<BodySchema> =
    LazyLock::new(BodySchema::of::<SessionPatchBody>);
/// The schema of a fork of a session.
pub(crate) static SESSION_FORK: LazyLock<BodySchema> = LazyLock::new(BodySchema::of::<ForkBody>);

impl BodySchema {
    fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let schema = settings.into_generator().into_root_schema_for::<T>();
        let published = schema.to_value();
        // A schema of this process cannot be invalid at run time: a test compiles the same schemas.
        let compiled = Node::compile(&published).expect("a schema uses only known keywords");
        Self {
            published,
            compiled,
        }
    }

    /// The schema as it is published.
    pub(crate) const fn published(&self) -> &Value {
        &self.published
    }

    /// Adds an error for each field that the schema refuses.
    pub(super) fn check(&self, body: &Value, errors: &mut FieldErrors) {
        self.compiled.check(body, FieldPath::Root, errors);
    }

    /// Moves the opaque values out of a body that the schema accepts.
    pub(super) fn move_opaque(&self, body: &mut Value, values: &mut OpaqueValues) {
        self.compiled.move_opaque(body, values);
    }
}
