//! What a status means when the provider's own words say nothing more special.

use super::{Failure, Retry};

/// The most bytes that are shown of what a provider said.
const SAID_BYTES_MAX: usize = 800;

/// A pause that was asked for, or one that grows.
pub(super) fn pause(retry_after_ms: Option<u64>) -> Retry {
    retry_after_ms.map_or(Retry::Backoff, Retry::AfterMs)
}

/// Classifies a status that is not a success. `said` is the provider's own message.
pub(super) fn classify(status: u16, retry_after_ms: Option<u64>, said: Option<&str>) -> Failure {
    let (code, retry) = match status {
        401 | 403 => ("authentication_failed", Retry::Never),
        402 => ("insufficient_quota", Retry::Never),
        404 => ("model_not_found", Retry::Never),
        408 | 409 | 425 | 500.. => ("provider_error", pause(retry_after_ms)),
        429 => ("rate_limited", pause(retry_after_ms)),
        400..500 => ("invalid_request", Retry::Never),
        // A redirect, which is not followed, or a status that no answer can have.
        _ => ("provider_error", Retry::Never),
    };
    Failure::new(code, message(status, said), retry)
}

/// `the provider answered 429: slow down`.
pub(super) fn message(status: u16, said: Option<&str>) -> String {
    match said.map(str::trim).filter(|said| !said.is_empty()) {
        Some(said) => {
            let end = said.floor_char_boundary(SAID_BYTES_MAX);
            format!("the provider answered {status}: {}", &said[..end])
        }
        None => format!("the provider answered {status}"),
    }
}
