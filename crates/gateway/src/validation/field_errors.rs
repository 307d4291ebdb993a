//! Collects the invalid fields of a body, up to a limit.

use std::fmt;

use super::field_path::FieldPath;
use crate::problem::{FIELD_ERRORS_MAX, FieldError, Problem, RequestPart};

/// The invalid fields found so far.
#[derive(Default)]
pub(super) struct FieldErrors {
    list: Vec<FieldError>,
}

impl FieldErrors {
    /// Adds an error for the field at `path`, unless this field has one. The message names the values that the field accepts. It
    /// never contains the client's value.
    pub(super) fn add(&mut self, path: FieldPath<'_>, error_message: impl fmt::Display) {
        if self.is_full() {
            return;
        }
        let field = path.to_string();
        if self.list.iter().all(|error| error.field != field) {
            let message = error_message.to_string();
            self.list.push(FieldError {
                field,
                part: RequestPart::Body,
                message,
            });
        }
    }

    /// Whether a response names no more fields.
    pub(super) const fn is_full(&self) -> bool {
        self.list.len() >= FIELD_ERRORS_MAX
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// An error if a field is invalid.
    pub(super) fn into_result(self) -> Result<(), Problem> {
        if self.list.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid_fields(self.list))
        }
    }
}
