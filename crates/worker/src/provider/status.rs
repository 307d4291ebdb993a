//! Classifies an HTTP status if the provider's error is not more specific.

use super::{Failure, Retry};

/// The most bytes that a failure quotes of a provider's message.
const QUOTED_BYTES_MAX: usize = 800;

/// Classifies a status that is not a success. `provider_message` is the provider's own text.
pub(super) fn classify(
    status: u16,
    retry_after_ms: Option<u64>,
    provider_message: Option<&str>,
) -> Failure {
    let (code, retry) = match status {
        401 | 403 => ("authentication_failed", Retry::Never),
        402 => ("insufficient_quota", Retry::Never),
        404 => ("model_not_found", Retry::Never),
        408 | 409 | 425 | 500.. => ("provider_error", after_or_backoff(retry_after_ms)),
        429 => ("rate_limited", after_or_backoff(retry_after_ms)),
        400..500 => ("invalid_request", Retry::Never),
        // Redirects are not followed, and no other status is a valid answer.
        _ => ("provider_error", Retry::Never),
    };
    Failure::new(code, message(status, provider_message), retry)
}

/// A retry after the delay that the provider asks for; with backoff if it asks for none.
pub(super) fn after_or_backoff(retry_after_ms: Option<u64>) -> Retry {
    retry_after_ms.map_or(Retry::Backoff, Retry::AfterMs)
}

/// The message of a failure, such as `the provider answered 429: slow down`.
pub(super) fn message(status: u16, provider_message: Option<&str>) -> String {
    match provider_message.map(str::trim) {
        None | Some("") => format!("the provider answered {status}"),
        Some(text) => {
            let end = text.floor_char_boundary(QUOTED_BYTES_MAX);
            format!("the provider answered {status}: {}", &text[..end])
        }
    }
}
