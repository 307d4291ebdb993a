//! Failures between the worker and the provider: no complete, readable answer arrived.

use std::{error::Error, time::Duration};

use super::connect_error;
use crate::provider::{
    Failure, Retry,
    fault::{self, Evidence, NoConnection},
};

/// How to make a certificate that a server can present and that clients can also trust directly.
const SELF_SIGNED_HINT: &str = "the server presents a CA certificate as its own (CaUsedAsEndEntity), which \
     TLS clients refuse even if FOREBAY_CA_FILE has it; make one that is not a CA: openssl req -x509 -newkey rsa:2048 \
     -nodes -keyout key.pem -out cert.pem -days 365 -subj /CN=HOST -addext subjectAltName=DNS:HOST \
     -addext basicConstraints=critical,CA:FALSE";

/// The headers of an answer did not arrive. A retry may help unless the request itself is invalid.
pub(super) fn not_answered(error: &reqwest::Error, connect_ms: u64) -> Failure {
    if error.is_builder() {
        return Failure::new(
            "invalid_request",
            "the name of the model is too long for the provider's URL",
            Retry::Never,
        );
    }
    if !error.is_connect() {
        let message = format!(
            "the connection to the provider failed before it answered: {}",
            cause(error)
        );
        return failed(message, Evidence::NoAnswer);
    }
    if error.is_timeout() {
        let message = format!("no connection to the provider within {connect_ms} ms");
        return timed_out(message, Evidence::NoConnection(NoConnection::TimedOut));
    }
    not_connected(error)
}

/// Whether the call waited for a connection that another call was opening, and the other call failed or was cancelled.
/// hyper-util reports this only in the text of the error.
pub(super) fn is_shared_connect_lost(error: &reqwest::Error) -> bool {
    error.is_connect() && cause(error) == "request was canceled"
}

/// No connection was made.
pub(super) fn not_connected(error: &reqwest::Error) -> Failure {
    let evidence = Evidence::NoConnection(connect_error::cause_of(error));
    let cause = cause(error);
    let cause = if cause.contains("CaUsedAsEndEntity") {
        SELF_SIGNED_HINT
    } else {
        &cause
    };
    failed(format!("no connection to the provider: {cause}"), evidence)
}

/// A forwarding proxy requires other credentials (RFC 9110, section 15.5.8). An operator may correct the proxy's
/// setting, so a retry may help. Only the log names the proxy, because clients of the API can read a job's error.
pub(super) fn proxy_refused(proxy: &str) -> Failure {
    tracing::warn!(
        proxy,
        "the proxy asks for another user name and password (407): correct the proxy variable of this worker"
    );
    let message =
        "no connection to the provider: the proxy asks for another user name and password (407)";
    failed(
        String::from(message),
        Evidence::NoConnection(NoConnection::Other),
    )
}

/// The connection ended before the answer's body was complete.
pub(super) fn cut_off(error: &reqwest::Error) -> Failure {
    let message = format!(
        "the connection to the provider ended before its answer was complete: {}",
        cause(error)
    );
    failed(message, Evidence::NoAnswer)
}

/// The answer's headers did not arrive in time.
pub(super) fn no_headers_within(first_byte_ms: u64) -> Failure {
    let message = format!("the provider did not begin to answer within {first_byte_ms} ms");
    timed_out(message, Evidence::NoAnswer)
}

/// The call did not end within its timeout.
pub(super) fn not_done_within(timeout: Duration) -> Failure {
    let message = format!("the call was not done within {} ms", timeout.as_millis());
    timed_out(message, Evidence::NoAnswer)
}

/// The answer is compressed although the request accepts no compression. A retry would get the same answer.
pub(super) fn encoded(coding: &str) -> Failure {
    Failure::new(
        "invalid_response",
        format!(
            "the provider's answer is encoded as {coding}, although the request asked for no encoding"
        ),
        Retry::Never,
    )
    .as_answer()
}

/// The answer exceeds the limit on its bytes.
pub(super) fn too_large(max_bytes: usize) -> Failure {
    Failure::new(
        "response_too_large",
        format!("the provider's answer has more than {max_bytes} bytes"),
        Retry::Never,
    )
    .as_answer()
}

fn failed(message: String, evidence: Evidence<'_>) -> Failure {
    Failure::new(Failure::CONNECTION_FAILED, message, Retry::Backoff)
        .with_fault(fault::of(evidence))
}

fn timed_out(message: String, evidence: Evidence<'_>) -> Failure {
    Failure::new("provider_timeout", message, Retry::Backoff).with_fault(fault::of(evidence))
}

/// The message of the innermost cause. Unlike the outer messages, it names neither the URL nor any data that was sent.
fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
