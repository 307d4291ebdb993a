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
    /// Adds an error for the field at `path`. The message names the values that the field accepts. It never contains
    /// the client's value.
    pub(super) fn add(&mut self, path: FieldPath<'_>, error_message: impl fmt::Display) {
        if self.list.len() < FIELD_ERRORS_MAX {
            self.list.push(FieldError {
                field: path.to_string(),
                message: error_message.to_string(),
            });
        }
    }

    /// Returns the value if no field is invalid. The caller passes `None` only after a call of `add`.
    pub(super) fn into_result<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.list.is_empty() => Ok(value),
            _ => Err(Problem::invalid_fields(self.list)),
        }
    }
}
