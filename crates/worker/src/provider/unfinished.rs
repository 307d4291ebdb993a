//! Failures of replies that the model did not finish, and the finish reasons that they show.

use serde_json::Value;

use super::{Failure, Retry};

/// The most characters of a provider's reason that an error message shows.
const REASON_CHARS_MAX: usize = 60;

/// The failure of a reply that the model did not finish. The provider charges for the text that arrived, so the caller adds
/// it as the detail of the failure.
pub(super) fn unfinished(reason: &str, retry: Retry) -> Failure {
    let message = format!("the provider did not finish its reply: finish reason {reason}");
    Failure::new("provider_error", message, retry)
}

/// The finish reason of a reply as a text; empty if the reply has none. A value of another type becomes JSON, which matches no
/// known reason.
pub(super) fn reason_text(reason: &Value) -> String {
    match reason {
        Value::Null => String::new(),
        Value::String(reason) => reason.clone(),
        other => other.to_string(),
    }
}

/// A reason of the provider, shortened for an error message.
pub(super) fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}
