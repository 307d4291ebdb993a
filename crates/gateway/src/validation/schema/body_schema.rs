//! The schema of another body than that of a submit: derived from its type, published, and enforced.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    super::{field_errors::FieldErrors, field_path::FieldPath, json_text},
    compile::Node,
};
use crate::{problem::Problem, problem_code::ProblemCode};

/// The schema of a body.
pub(crate) struct BodySchema {
    published: Value,
    compiled: Node,
}

impl BodySchema {
    /// The schema of this type.
    ///
    /// # Panics
    /// If the schema has a keyword that the check does not know. A test of each body finds this.
    pub(crate) fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let published = settings
            .into_generator()
            .into_root_schema_for::<T>()
            .to_value();
        let compiled = Node::compile(&published);
        Self {
            compiled: compiled.expect("the schema of a body uses only known keywords"),
            published,
        }
    }

    /// The schema as it is published.
    pub(crate) const fn published(&self) -> &Value {
        &self.published
    }

    /// Parses and validates a body.
    pub(crate) fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Problem> {
        let value = json_text::parse(body)?;
        let mut errors = FieldErrors::default();
        self.compiled.check(&value, FieldPath::Root, &mut errors);
        errors.into_result()?;
        T::deserialize(value).map_err(|error| {
            tracing::error!(%error, "a valid body could not be read");
            Problem::new(ProblemCode::Internal, "the body could not be read")
        })
    }
}
