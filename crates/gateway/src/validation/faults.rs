//! What is wrong with a body, up to a bound.

use std::fmt;

use super::path::Path;
use crate::problem::{FieldError, Problem};

/// The most fields that one answer names.
const FAULTS_MAX: usize = 16;

/// What is wrong with a body.
#[derive(Default)]
pub(super) struct Faults {
    list: Vec<FieldError>,
}

impl Faults {
    /// Notes what is allowed at `at`, as something else is there. Never takes a value of the client's.
    pub(super) fn add(&mut self, at: Path<'_>, allowed: impl fmt::Display) {
        if self.list.len() < FAULTS_MAX {
            self.list.push(FieldError {
                field: at.to_string(),
                message: allowed.to_string(),
            });
        }
    }

    /// The value, or what is wrong. A value that is missing has been noted as a fault.
    pub(super) fn verdict<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.list.is_empty() => Ok(value),
            _ => Err(Problem::fields(self.list)),
        }
    }
}
