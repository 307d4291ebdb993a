//! The failure of a job that Gemini's API cannot express.

use crate::provider::{Failure, Retry};

/// The failure of a job with `what`, for which Gemini's API has no field.
pub(super) fn unsupported(what: &str) -> Failure {
    Failure::new(
        "unsupported_parameter",
        format!("Gemini's API does not support this job: {what}"),
        Retry::Never,
    )
}
