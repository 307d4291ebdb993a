//! What the tests of the providers have in common: answers in bytes, calls, and the faults below HTTP.
//!
//! The server is in [`server`]; what a provider must make of its answers is in each provider's own test.

mod server;

use std::time::Duration;

use forebay_shared::{
    job::Request,
    turn::{Role, Turn},
};
use forebay_worker::provider::{
    Answer, Call, Failure, Provider, Retry,
    http::{HttpLimits, HttpSettings},
};

pub(crate) use server::{Seen, Server, Then};

/// A whole answer. `headers` end with `\r\n` each.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// The beginning of an answer whose body announces more bytes than there are here.
pub(crate) fn incomplete_answer(body: &str) -> String {
    format!(
        "HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len() + 10
    )
}

/// Short bounds, so that the tests are quick.
pub(crate) fn short() -> HttpSettings {
    HttpSettings {
        limits: HttpLimits {
            connect_ms: 200,
            first_byte_ms: 200,
            response_bytes_max: 64 * 1024,
        },
        ..HttpSettings::default()
    }
}

/// Calls with one turn of the user.
pub(crate) async fn ask(provider: &dyn Provider, timeout_ms: u64) -> Result<Answer, Failure> {
    let turns = [Turn::text(Role::User, "hello")];
    ask_with(provider, &Request::default(), &turns, timeout_ms).await
}

/// Calls with a request and turns.
pub(crate) async fn ask_with(
    provider: &dyn Provider,
    request: &Request,
    turns: &[Turn],
    timeout_ms: u64,
) -> Result<Answer, Failure> {
    let call = Call {
        model: "gemini-2.5-flash",
        request,
        turns,
        timeout: Duration::from_millis(timeout_ms),
    };
    provider.call(&call).await
}

/// A fault and what must follow from it.
pub(crate) struct Row {
    /// What the fault is.
    pub(crate) name: &'static str,
    /// What the server writes.
    pub(crate) bytes: String,
    /// What it does then.
    pub(crate) then: Then,
    /// The failure's code.
    pub(crate) code: &'static str,
    /// Whether another try can help.
    pub(crate) retry: Retry,
}

/// The faults below HTTP, which are the same for every provider.
pub(crate) fn transport_faults() -> Vec<Row> {
    let row = |name, bytes: &str, then, code, retry| Row {
        name,
        bytes: bytes.to_owned(),
        then,
        code,
        retry,
    };
    let chunked = "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n";
    let huge = "HTTP/1.1 200 x\r\ncontent-length: 99999999999\r\n\r\n{";
    vec![
        row(
            "reset",
            "",
            Then::Reset,
            "connection_failed",
            Retry::Backoff,
        ),
        row(
            "closed",
            "",
            Then::Close,
            "connection_failed",
            Retry::Backoff,
        ),
        row(
            "no http",
            "SSH-2.0-x\r\n\r\n",
            Then::Close,
            "connection_failed",
            Retry::Backoff,
        ),
        row("stall", "", Then::Hold, "provider_timeout", Retry::Backoff),
        row(
            "stall in the head",
            "HTTP/1.1 200",
            Then::Hold,
            "provider_timeout",
            Retry::Backoff,
        ),
        row(
            "stall in the body",
            &incomplete_answer("{"),
            Then::Hold,
            "provider_timeout",
            Retry::Backoff,
        ),
        row(
            "cut off",
            &incomplete_answer("{\"choices\""),
            Then::Close,
            "connection_failed",
            Retry::Backoff,
        ),
        row(
            "reset in the body",
            &incomplete_answer("{"),
            Then::Reset,
            "connection_failed",
            Retry::Backoff,
        ),
        row(
            "endless body",
            chunked,
            Then::Endless,
            "response_too_large",
            Retry::Never,
        ),
        row(
            "announced too large",
            huge,
            Then::Hold,
            "response_too_large",
            Retry::Never,
        ),
        row(
            "invalid JSON",
            &answer(200, "", "<html>"),
            Then::Close,
            "invalid_response",
            Retry::Backoff,
        ),
        row(
            "half a JSON",
            &answer(200, "", "{\"a\": ["),
            Then::Close,
            "invalid_response",
            Retry::Backoff,
        ),
        row(
            "empty body",
            &answer(200, "", ""),
            Then::Close,
            "invalid_response",
            Retry::Backoff,
        ),
        row(
            "redirect",
            &answer(307, "location: http://127.0.0.1:1/\r\n", ""),
            Then::Close,
            "provider_error",
            Retry::Never,
        ),
        row(
            "stall in an error",
            &answer(500, "", "").replace("length: 0", "length: 9"),
            Then::Close,
            "provider_error",
            Retry::Backoff,
        ),
        row(
            "no body of an error",
            &answer(502, "", "<html>"),
            Then::Close,
            "provider_error",
            Retry::Backoff,
        ),
    ]
}
