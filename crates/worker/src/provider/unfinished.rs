//! The failure of a reply that the model did not finish.

use super::{Failure, Retry};

/// The most characters of a provider's reason that an error message shows.
const REASON_CHARS_MAX: usize = 60;

/// The failure of a reply that the model did not finish. The provider charges for the text that arrived, so the caller adds
/// it as the detail of the failure.
pub(super) fn unfinished(reason: &str, retry: Retry) -> Failure {
    let message = format!("the provider did not finish its reply: finish reason {reason}");
    Failure::new("provider_error", message, retry)
}

/// A reason of the provider, shortened for an error message.
pub(super) fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}
