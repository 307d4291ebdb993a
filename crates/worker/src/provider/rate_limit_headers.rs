//! Reads the limits that a provider reports in the headers of its responses.
//!
//! Services use different names for the same three values: the limit, what remains of it, and when it is restored. The
//! first set of names with complete values is used. Invalid values are ignored.

mod reset;

use std::time::SystemTime;

use forebay_shared::account::{ReportedLimit, ReportedLimits};
use http::header::HeaderMap;

/// The highest limit that is read.
const LIMIT_MAX: u64 = 1_000_000_000_000;

/// One minute, in milliseconds.
const MINUTE_MS: u64 = 60_000;

/// The names of the headers of one limit.
struct LimitHeaders {
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
    /// The length of the limit's window, in milliseconds, if the names of the headers contain it. It is used as the reset time
    /// if the service reports none.
    window_ms: Option<u64>,
}

impl LimitHeaders {
    const fn new(limit: &'static str, remaining: &'static str, reset: &'static str) -> Self {
        Self {
            limit,
            remaining,
            reset,
            window_ms: None,
        }
    }

    const fn with_window_of_a_minute(mut self) -> Self {
        self.window_ms = Some(MINUTE_MS);
        self
    }
}

/// The limits on requests.
const REQUESTS: [LimitHeaders; 6] = [
    // OpenAI, Azure, Groq and others.
    LimitHeaders::new(
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ),
    // Mistral.
    LimitHeaders::new(
        "x-ratelimit-limit-req-minute",
        "x-ratelimit-remaining-req-minute",
        "x-ratelimit-reset-req-minute",
    )
    .with_window_of_a_minute(),
    // Anthropic.
    LimitHeaders::new(
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    // `LiteLLM` passes on the headers of the provider that it called, with this prefix.
    LimitHeaders::new(
        "llm_provider-x-ratelimit-limit-requests",
        "llm_provider-x-ratelimit-remaining-requests",
        "llm_provider-x-ratelimit-reset-requests",
    ),
    // OpenRouter, Together and others.
    LimitHeaders::new(
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ),
    // The IETF's draft-ietf-httpapi-ratelimit-headers, up to its version 7.
    LimitHeaders::new("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
];

/// The limits on tokens.
const TOKENS: [LimitHeaders; 5] = [
    // OpenAI, Azure, Groq and others.
    LimitHeaders::new(
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ),
    // Mistral, Cerebras.
    LimitHeaders::new(
        "x-ratelimit-limit-tokens-minute",
        "x-ratelimit-remaining-tokens-minute",
        "x-ratelimit-reset-tokens-minute",
    )
    .with_window_of_a_minute(),
    // Anthropic: the most restrictive limit on tokens, or the limit on input tokens.
    LimitHeaders::new(
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    LimitHeaders::new(
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    // `LiteLLM`, as above.
    LimitHeaders::new(
        "llm_provider-x-ratelimit-limit-tokens",
        "llm_provider-x-ratelimit-remaining-tokens",
        "llm_provider-x-ratelimit-reset-tokens",
    ),
];

/// The limits in these headers. `None` if no limit is reported in full; then nothing is allocated.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<Box<ReportedLimits>> {
    let first_of = |names: &[LimitHeaders]| names.iter().find_map(|names| names.read(headers, now));
    let limits = ReportedLimits {
        requests: first_of(&REQUESTS),
        tokens: first_of(&TOKENS),
    };
    let has_limit = limits.requests.is_some() || limits.tokens.is_some();
    has_limit.then(|| Box::new(limits))
}

impl LimitHeaders {
    fn read(&self, headers: &HeaderMap, now: SystemTime) -> Option<ReportedLimit> {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let limit = count(text(self.limit)?).filter(|limit| *limit > 0)?;
        let remaining = count(text(self.remaining)?)?;
        let reset_ms = match text(self.reset) {
            Some(reset) => reset::read_ms(reset, now)?,
            None => self.window_ms?,
        };
        Some(ReportedLimit {
            limit,
            remaining: remaining.min(limit),
            reset_ms,
        })
    }
}

/// A whole number. The IETF's draft lets a policy follow it (`100, 100;w=60`).
fn count(text: &str) -> Option<u64> {
    let number = text.split([',', ';']).next()?.trim_end();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = is_number.then(|| number.parse().ok())??;
    (number <= LIMIT_MAX).then_some(number)
}

#[cfg(test)]
mod tests;
