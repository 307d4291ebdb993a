//! Collects the invalid fields of a body, up to a limit.

use std::fmt;

use super::field_path::FieldPath;
use crate::problem::{FieldError, Problem};

/// The most invalid fields that one response names.
const FIELD_ERRORS_MAX: usize = 16;

/// The invalid fields found so far.
#[derive(Default)]
pub(super) struct FieldErrors {
    list: Vec<FieldError>,
}

impl FieldErrors {
    /// Adds the field at `path` with the values that it accepts. The message never contains the client's
    /// value.
    pub(super) fn add(&mut self, path: FieldPath<'_>, allowed: impl fmt::Display) {
        if self.list.len() < FIELD_ERRORS_MAX {
            self.list.push(FieldError {
                field: path.to_string(),
                message: allowed.to_string(),
            });
        }
    }

    /// Returns the value if no field is invalid. If there is no value, `add` must have been called.
    pub(super) fn into_result<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.list.is_empty() => Ok(value),
            _ => Err(Problem::invalid_fields(self.list)),
        }
    }
}
