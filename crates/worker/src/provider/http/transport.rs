//! What went wrong between us and the provider, before it could say anything itself.

use std::time::Duration;

use crate::provider::{Failure, Retry};

/// No connection could be made.
pub(super) fn not_connected(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(
        "connection_failed",
        format!("no connection to the provider: {}", cause(error)),
        Retry::Backoff,
    )
}

/// The proxy does not pass the request on until it knows who asks (RFC 9110, section 15.5.8). As for one that makes a
/// tunnel, whose answer is a failed connection: the provider has nothing to do with it, and somebody may set it right.
/// Which proxy it is stands in the log only: a job's error goes to clients of the API.
pub(super) fn proxy_refused(proxy: &str) -> Failure {
    tracing::warn!(
        proxy,
        "the proxy asks for another user name and password (407)"
    );
    Failure::new(
        "connection_failed",
        "no connection to the provider: the proxy asks for another user name and password (407)",
        Retry::Backoff,
    )
}

/// A connection was made, and the provider ended it before it took a request, as one does that is about to stop.
pub(super) fn ended_at_once() -> Failure {
    Failure::new(
        "connection_failed",
        "no connection to the provider: it ended the connection at once",
        Retry::Backoff,
    )
}

/// No connection was made in time.
pub(super) fn not_connected_within(connect_ms: u64) -> Failure {
    Failure::new(
        "provider_timeout",
        format!("no connection to the provider within {connect_ms} ms"),
        Retry::Backoff,
    )
}

/// The request could not be sent, or no head of an answer came.
pub(super) fn failed(error: &hyper::Error) -> Failure {
    if is_unprocessed(error) {
        return Failure::new(
            "connection_failed",
            "the provider closed the connection before it began with the request",
            Retry::AtOnce,
        );
    }
    Failure::new(
        "connection_failed",
        format!(
            "the connection to the provider failed before it answered: {}",
            cause(error)
        ),
        Retry::Backoff,
    )
}

/// The body ended before it was complete.
pub(super) fn cut_off(error: &hyper::Error) -> Failure {
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

/// The name of the model does not fit into a URL.
pub(super) fn url_too_long() -> Failure {
    Failure::new(
        "invalid_request",
        "the name of the model is too long for the provider's URL",
        Retry::Never,
    )
}

/// The answer is compressed, though none was to be. The same request would be answered so again.
pub(super) fn encoded(coding: &str) -> Failure {
    Failure::new(
        "invalid_response",
        format!("the provider's answer is encoded as {coding}, though identity was asked for"),
        Retry::Never,
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

/// Whether the provider said that it has not begun with the request (RFC 9113, section 8.7): a refused stream,
/// or one beyond the last that a connection in its orderly end still serves.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            let is_ended = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            return error.is_remote() && (is_refused || is_ended);
        }
        source = error.source();
    }
    false
}

/// The innermost cause, which names neither the URL nor anything that was sent.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
