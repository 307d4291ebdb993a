//! What the tests of the providers share: answers as bytes, calls, and faults with the same result for all providers.
//!
//! The server is in [`server`]. Each provider's own tests define the results of its answers.

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

pub(crate) use server::{Ending, Server, ServerEvent};

/// A complete answer. Each header in `headers` ends with `\r\n`.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// An incomplete answer: its `content-length` is ten bytes more than the length of `body`.
pub(crate) fn incomplete_answer(body: &str) -> String {
    format!(
        "HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len() + 10
    )
}

/// A time limit that no call reaches, also on a busy machine.
const LONG_MS: u64 = 120_000;
/// A time limit that a call must exceed.
pub(crate) const SHORT_MS: u64 = 300;

/// Settings whose time limits no call reaches.
pub(crate) fn http_settings() -> HttpSettings {
    HttpSettings {
        limits: HttpLimits {
            connect_ms: LONG_MS,
            first_byte_ms: LONG_MS,
            response_bytes_max: 64 * 1024,
        },
        ..HttpSettings::default()
    }
}

/// Calls the provider with one user turn.
pub(crate) async fn ask(provider: &dyn Provider) -> Result<Answer, Failure> {
    let turns = [Turn::text(Role::User, "hello")];
    ask_with(provider, &Request::default(), &turns).await
}

/// Calls the provider with this request and these turns.
pub(crate) async fn ask_with(
    provider: &dyn Provider,
    request: &Request,
    turns: &[Turn],
) -> Result<Answer, Failure> {
    ask_within(LONG_MS, provider, request, turns).await
}

async fn ask_within(
    timeout_ms: u64,
    provider: &dyn Provider,
    request: &Request,
    turns: &[Turn],
) -> Result<Answer, Failure> {
    let call = Call {
        model: "gemini-2.5-flash",
        request,
        turns,
        timeout: Duration::from_millis(timeout_ms),
        trace: None,
    };
    provider.call(&call).await
}

/// A fault and the failure that it must cause.
pub(crate) struct FaultCase {
    /// What happens, for assertion messages.
    pub(crate) name: &'static str,
    /// What the server writes.
    pub(crate) bytes: String,
    /// What the server does with the connection after that.
    pub(crate) ending: Ending,
    /// The failure's code.
    pub(crate) code: &'static str,
    /// The failure's retry: whether another try can help.
    pub(crate) retry: Retry,
    /// The time limit that the call exceeds. Only this limit is short.
    pub(crate) exceeds: Exceeds,
}

/// A time limit that a call exceeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Exceeds {
    /// The call exceeds no time limit.
    Nothing,
    /// The call exceeds the time limit of the first byte.
    FirstByte,
    /// The call exceeds the time limit of the whole call.
    WholeCall,
}

impl FaultCase {
    /// The settings of the provider.
    pub(crate) fn http_settings(&self) -> HttpSettings {
        let mut settings = http_settings();
        if self.exceeds == Exceeds::FirstByte {
            settings.limits.first_byte_ms = SHORT_MS;
        }
        settings
    }

    /// Calls the provider with one user turn, and returns the failure.
    pub(crate) async fn failure(&self, provider: &dyn Provider) -> Failure {
        let timeout_ms = match self.exceeds {
            Exceeds::WholeCall => SHORT_MS,
            Exceeds::Nothing | Exceeds::FirstByte => LONG_MS,
        };
        let turns = [Turn::text(Role::User, "hello")];
        let answer = ask_within(timeout_ms, provider, &Request::default(), &turns).await;
        answer.expect_err(self.name)
    }
}

/// The faults that have the same result for every provider.
pub(crate) fn transport_faults() -> Vec<FaultCase> {
    let case = |name, bytes: &str, ending, code, retry| FaultCase {
        name,
        bytes: bytes.to_owned(),
        ending,
        code,
        retry,
        exceeds: Exceeds::Nothing,
    };
    let stall = |name, bytes: &str, exceeds| FaultCase {
        exceeds,
        ..case(
            name,
            bytes,
            Ending::Hold,
            "provider_timeout",
            Retry::Backoff,
        )
    };
    let chunked = "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n";
    let huge = "HTTP/1.1 200 x\r\ncontent-length: 99999999999\r\n\r\n{";
    vec![
        case(
            "reset",
            "",
            Ending::Reset,
            "connection_failed",
            Retry::Backoff,
        ),
        case(
            "closed",
            "",
            Ending::Close,
            "connection_failed",
            Retry::Backoff,
        ),
        case(
            "no HTTP",
            "SSH-2.0-x\r\n\r\n",
            Ending::Close,
            "connection_failed",
            Retry::Backoff,
        ),
        stall("stall", "", Exceeds::FirstByte),
        stall("stall in the headers", "HTTP/1.1 200", Exceeds::FirstByte),
        stall(
            "stall in the body",
            &incomplete_answer("{"),
            Exceeds::WholeCall,
        ),
        case(
            "cut off",
            &incomplete_answer("{\"choices\""),
            Ending::Close,
            "connection_failed",
            Retry::Backoff,
        ),
        case(
            "reset in the body",
            &incomplete_answer("{"),
            Ending::Reset,
            "connection_failed",
            Retry::Backoff,
        ),
        case(
            "endless body",
            chunked,
            Ending::Endless,
            "response_too_large",
            Retry::Never,
        ),
        case(
            "a content-length that is too large",
            huge,
            Ending::Hold,
            "response_too_large",
            Retry::Never,
        ),
        case(
            "invalid JSON",
            &answer(200, "", "<html>"),
            Ending::Close,
            "invalid_response",
            Retry::Backoff,
        ),
        case(
            "incomplete JSON",
            &answer(200, "", "{\"a\": ["),
            Ending::Close,
            "invalid_response",
            Retry::Backoff,
        ),
        case(
            "empty body",
            &answer(200, "", ""),
            Ending::Close,
            "invalid_response",
            Retry::Backoff,
        ),
        case(
            "redirect",
            &answer(307, "location: http://127.0.0.1:1/\r\n", ""),
            Ending::Close,
            "provider_error",
            Retry::Never,
        ),
        case(
            "an error whose body is cut off",
            &answer(500, "", "").replace("length: 0", "length: 9"),
            Ending::Close,
            "provider_error",
            Retry::Backoff,
        ),
        case(
            "an error whose body is not JSON",
            &answer(502, "", "<html>"),
            Ending::Close,
            "provider_error",
            Retry::Backoff,
        ),
    ]
}
