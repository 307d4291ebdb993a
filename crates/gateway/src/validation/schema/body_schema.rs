//! The schema of a body: as it is published, and as it is checked.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    super::{
        field_errors::FieldErrors, field_path::FieldPath, json_text, submit_body::OpaqueValues,
    },
    compile::Node,
};
use crate::{problem::Problem, problem_code::ProblemCode};

/// The schema of a body.
pub(crate) struct BodySchema {
    published: Value,
    compiled: Node,
    /// A body that the route accepts.
    example: &'static str,
}

impl BodySchema {
    /// The schema of this type. The answer to an empty body shows `example`.
    ///
    /// # Panics
    /// If the schema has a keyword that the check does not know. A test compiles the schema of each body.
    pub(crate) fn of<T: JsonSchema>(example: &'static str) -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let schema = settings.into_generator().into_root_schema_for::<T>();
        let published = schema.to_value();
        let compiled = Node::compile(&published);
        Self {
            compiled: compiled.expect("the schema of a body uses only known keywords"),
            published,
            example,
        }
    }

    /// The schema as it is published.
    pub(crate) const fn published(&self) -> &Value {
        &self.published
    }

    /// The problem for an empty body.
    pub(crate) fn empty_body(&self) -> Problem {
        json_text::empty(self.example)
    }

    /// Parses a body as JSON, without a check.
    pub(in crate::validation) fn parse_json(&self, body: &[u8]) -> Result<Value, Problem> {
        json_text::parse(body, self.example)
    }

    /// Adds an error for each field that the schema refuses.
    pub(in crate::validation) fn check(&self, body: &Value, errors: &mut FieldErrors) {
        self.compiled.check(body, FieldPath::Root, errors);
    }

    /// Moves the opaque values out of a body that the schema accepts.
    pub(in crate::validation) fn move_opaque(&self, body: &mut Value, values: &mut OpaqueValues) {
        self.compiled.move_opaque(body, values);
    }

    /// Parses and validates a body that needs no other rules.
    pub(crate) fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Problem> {
        let value = self.parse_json(body)?;
        let mut errors = FieldErrors::default();
        self.check(&value, &mut errors);
        errors.into_result()?;
        T::deserialize(value).map_err(|error| unreadable(&error))
    }
}

/// The problem for a body that the schema and the rules accept, and the types do not. A test shows that there is none.
pub(in crate::validation) fn unreadable(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "a valid body could not be read");
    Problem::new(ProblemCode::Internal, "the body could not be read")
}
