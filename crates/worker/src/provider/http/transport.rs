//! What went wrong between us and the provider, before it could say anything itself.

use std::time::Duration;

use crate::provider::{Failure, Retry};

/// The request could not be sent, or no head of an answer came.
pub(super) fn failed(error: reqwest::Error, connect_ms: u64) -> Failure {
    if error.is_connect() && error.is_timeout() {
        return Failure::new(
            "provider_timeout",
            format!("no connection to the provider within {connect_ms} ms"),
            Retry::Backoff,
        );
    }
    let what = if error.is_connect() {
        "no connection to the provider"
    } else {
        "the connection to the provider failed before it answered"
    };
    Failure::new(
        "connection_failed",
        format!("{what}: {}", cause(error)),
        Retry::Backoff,
    )
}

/// The body ended before it was complete.
pub(super) fn cut_off(error: reqwest::Error) -> Failure {
    Failure::new(
        "connection_failed",
        format!(
            "the connection to the provider ended before its whole answer had come: {}",
            cause(error)
        ),
        Retry::Backoff,
    )
}

/// The provider was silent for too long.
pub(super) fn no_head_within(first_byte_ms: u64) -> Failure {
    Failure::new(
        "provider_timeout",
        format!("the provider did not begin to answer within {first_byte_ms} ms"),
        Retry::Backoff,
    )
}

/// The call as a whole took too long.
pub(super) fn not_done_within(timeout: Duration) -> Failure {
    Failure::new(
        "provider_timeout",
        format!("the call was not done within {} ms", timeout.as_millis()),
        Retry::Backoff,
    )
}

/// The answer is longer than what is read of one.
pub(super) fn too_large(max_bytes: usize) -> Failure {
    Failure::new(
        "response_too_large",
        format!("the provider's answer has more than {max_bytes} bytes"),
        Retry::Never,
    )
}

/// The innermost cause, which names neither the URL nor anything that was sent.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
