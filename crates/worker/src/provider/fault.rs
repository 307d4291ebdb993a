//! The cause of a failure: the call itself, or a limit or an outage of the provider, which affects other jobs too.
//!
//! Only this file decides the cause. The worker and the account decide what follows: whether an account closes, and whether the
//! failure spends a try.

use serde_json::Value;

/// The cause of a failure. For every cause but [`Fault::Call`], a retry can help ([`Retry`](super::Retry)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The provider limits the rate of calls. This closes the account of the model.
    RateLimit,
    /// The provider cannot be reached, or is overloaded. This closes the account of the provider.
    Unavailable,
    /// The provider failed, perhaps because of the job. When three different jobs in a row have failed like this, the
    /// account of the provider closes.
    Server,
    /// The limit of open files is reached, so no connection can be opened. This closes no account, and the worker repeats the
    /// call after a pause.
    OutOfFiles,
    /// The call itself is at fault, or the provider may have charged for it. This closes no account.
    #[default]
    Call,
}

/// What is known of a failure after which a retry may help.
#[derive(Clone, Copy, Debug)]
pub(super) enum Evidence<'a> {
    /// The provider answered with an error.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The JSON object of the error; null if there is none.
        error: &'a Value,
        /// The provider's message.
        message: &'a str,
    },
    /// No connection was made, so the request was not sent.
    NoConnection(NoConnection),
    /// The request was sent, and no complete answer arrived in time.
    NoAnswer,
}

/// Why no connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoConnection {
    /// The provider's host, or the proxy's, refused the connection, ended it during the TLS handshake, or has no route.
    Refused,
    /// The connection was not made in time.
    TimedOut,
    /// The name of the host could not be looked up now.
    ResolverFails,
    /// No host has this name (NXDOMAIN).
    UnknownName,
    /// This process, or its system, has reached the limit of open files.
    OutOfFiles,
    /// Any other cause, such as a certificate that is not trusted, or a proxy that refuses to connect.
    Other,
}

/// Codes of a rate limit in an error's `code`, `type` or `status`. They count with any HTTP status but those of timeouts.
const RATE_LIMIT_CODES: [&str; 3] = [
    "rate_limit_exceeded",
    "rate_limit_error",
    // google.rpc.Code
    "resource_exhausted",
];

/// Codes of an outage or an overload.
const UNAVAILABLE_CODES: [&str; 4] = [
    "service_unavailable",
    "service_unavailable_error",
    "serviceunavailableerror",
    // google.rpc.Code
    "unavailable",
];

/// Wordings of a rate limit, from services that pass on the error of another service.
const RATE_LIMIT_WORDINGS: [&str; 6] = [
    "rate limit exceeded",
    "rate limit reached",
    "rate-limited",
    "ratelimiterror",
    "rate_limit_exceeded",
    "too many requests",
];

/// Wordings of an overload.
const OVERLOAD_WORDINGS: [&str; 11] = [
    "overloaded",
    "server is busy",
    "servers are busy",
    "server busy",
    "service is busy",
    "model is busy",
    "engine is busy",
    "at capacity",
    "over capacity",
    "high demand",
    "high load",
];

/// A wording that services use for overloads, and also for internal errors. It does not count with status 500, because one
/// job that always causes an internal error would keep the provider closed.
const TRY_LATER: &str = "try again later";

/// The most bytes of a message that are searched for wordings.
const SEARCHED_BYTES_MAX: usize = 2_000;

/// The cause of a failure after which a retry may help.
pub(super) fn of(evidence: Evidence<'_>) -> Fault {
    match evidence {
        Evidence::Answer {
            status,
            error,
            message,
        } => of_answer(status, error, message),
        Evidence::NoConnection(
            NoConnection::Refused | NoConnection::TimedOut | NoConnection::ResolverFails,
        ) => Fault::Unavailable,
        Evidence::NoConnection(NoConnection::OutOfFiles) => Fault::OutOfFiles,
        Evidence::NoConnection(NoConnection::UnknownName | NoConnection::Other)
        | Evidence::NoAnswer => Fault::Call,
    }
}

/// Whether a message reports that a single request is larger than the limit, as in `Limit 6000, Requested 11226`. No wait helps
/// such a request, although the status is usually 429.
pub(super) fn is_larger_than_limit(message: &str) -> bool {
    let number_after = |word: &str| {
        let (_, rest) = message.split_once(word)?;
        let is_part = |c: &char| c.is_ascii_digit() || *c == ',';
        let digits = rest.trim_start_matches([' ', ':']).chars();
        let digits = digits.take_while(is_part).filter(char::is_ascii_digit);
        digits.collect::<String>().parse::<u64>().ok()
    };
    match (number_after("Limit"), number_after("Requested")) {
        (Some(limit), Some(requested)) => requested > limit,
        _ => false,
    }
}

fn of_answer(status: u16, error: &Value, message: &str) -> Fault {
    let has_code = |codes: &[&str]| codes_of(error).any(|code| codes.contains(&code.as_str()));
    let names_overload = || codes_of(error).any(|code| code.contains("overloaded"));
    let end = message.floor_char_boundary(SEARCHED_BYTES_MAX);
    let text = message[..end].to_lowercase();
    let has_wording = |wordings: &[&str]| wordings.iter().any(|wording| text.contains(wording));
    match status {
        // Timeouts after the provider received the request. It may charge for the call. 524 is Cloudflare's 504.
        408 | 504 | 524 => Fault::Call,
        429 => Fault::RateLimit,
        _ if has_code(&RATE_LIMIT_CODES) => Fault::RateLimit,
        503 | 529 => Fault::Unavailable,
        500.. if has_wording(&RATE_LIMIT_WORDINGS) => Fault::RateLimit,
        500.. if has_code(&UNAVAILABLE_CODES) || names_overload() => Fault::Unavailable,
        500.. if has_wording(&OVERLOAD_WORDINGS) => Fault::Unavailable,
        501.. if has_wording(&[TRY_LATER]) => Fault::Unavailable,
        500.. => Fault::Server,
        _ => Fault::Call,
    }
}

/// The codes of an error, in lower case. OpenAI's errors have a `code` and a `type`, Google's have a `status`.
fn codes_of(error: &Value) -> impl Iterator<Item = String> {
    ["code", "type", "status"]
        .into_iter()
        .filter_map(|name| Some(error[name].as_str()?.to_lowercase()))
}

#[cfg(test)]
mod tests;
