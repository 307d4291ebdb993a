//! The JSON Schema of a submit's body: derived from [`SubmitBody`], published in the OpenAPI document, and the rule by which each
//! body is validated. The same for the body that makes an API key ([`NewKeyBody`]).
//!
//! - `compile`: turns the published schema into a form that is fast to check.
//! - `check`: checks a body, and names each fault.
//! - `move_opaque`: moves values out of a body that are not read.
//! - `body_schema`: the same for other bodies.
//! - `sentence`: what a value must be, in words.
//!
//! Why not a library: those for JSON Schema collect all faults before they return. A body of 10 MiB can have millions. They
//! also name a fault by keyword, and not by what the field accepts. A test compares this one with such a library.

mod body_schema;
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

pub(crate) use self::body_schema::BodySchema;
use self::compile::Node;
use super::{
    field_errors::FieldErrors,
    field_path::FieldPath,
    new_key_body::NewKeyBody,
    submit_body::{OpaqueValues, SubmitBody},
};

static PUBLISHED: LazyLock<Value> = LazyLock::new(derive::<SubmitBody>);
static PUBLISHED_NEW_KEY: LazyLock<Value> = LazyLock::new(derive::<NewKeyBody>);

fn derive<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// A schema of this process cannot be invalid at run time: a test compiles the same schema.
static COMPILED: LazyLock<Node> = LazyLock::new(|| {
    Node::compile(published()).expect("the schema of a submit uses only known keywords")
});

static COMPILED_NEW_KEY: LazyLock<Node> = LazyLock::new(|| {
    Node::compile(published_new_key()).expect("the schema of a new key uses only known keywords")
});

/// The schema as it is published.
pub(crate) fn published() -> &'static Value {
    &PUBLISHED
}

/// The schema of the body that makes an API key, as it is published.
pub(crate) fn published_new_key() -> &'static Value {
    &PUBLISHED_NEW_KEY
}

/// Adds an error for each field of a new key that its schema refuses.
pub(super) fn check_new_key(body: &Value, errors: &mut FieldErrors) {
    COMPILED_NEW_KEY.check(body, FieldPath::Root, errors);
}

/// Adds an error for each field that the schema refuses.
pub(super) fn check(body: &Value, errors: &mut FieldErrors) {
    COMPILED.check(body, FieldPath::Root, errors);
}

/// Moves the opaque values out of a body that the schema accepts.
pub(super) fn move_opaque(body: &mut Value, values: &mut OpaqueValues) {
    COMPILED.move_opaque(body, values);
}
