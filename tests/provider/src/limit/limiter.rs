//! Counts the calls under one limit. It has no clock: its caller passes the time, which must never go back.

use std::time::{Duration, Instant};

use super::{
    LimitHeaders, RateLimit,
    headers::{reset_text, retry_after_s},
    rate_limit::Shape,
};

/// The decision about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether the call is accepted.
    pub(crate) is_accepted: bool,
    /// The headers of the response, as the limit's [`LimitHeaders`] require.
    pub(crate) headers: Vec<(String, String)>,
}

/// The counts of one limit.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: RateLimit,
    /// The calls that would be accepted now, with the fraction of the next one.
    remaining: f64,
    /// Token bucket: when `remaining` was computed. Fixed window: when the window began.
    since: Instant,
}

impl Limiter {
    /// A limit that has accepted no call yet.
    pub(super) fn new(limit: RateLimit, now: Instant) -> Self {
        Self {
            limit,
            remaining: capacity(limit.shape),
            since: now,
        }
    }

    /// Decides about a call that arrives now.
    pub(super) fn decide(&mut self, now: Instant) -> Verdict {
        self.refill(now);
        let is_accepted = self.remaining >= 1.0;
        if is_accepted {
            self.remaining -= 1.0;
        }
        Verdict {
            is_accepted,
            headers: self.headers(is_accepted, now),
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.duration_since(self.since);
        match self.limit.shape {
            Shape::TokenBucket { per_second, burst } => {
                self.remaining = (self.remaining + passed.as_secs_f64() * per_second).min(burst);
                self.since = now;
            }
            Shape::FixedWindow { calls, window } => {
                if passed >= window {
                    let past_windows = passed.as_nanos() / window.as_nanos();
                    let past_windows = u32::try_from(past_windows).unwrap_or(u32::MAX);
                    self.since += window * past_windows;
                    self.remaining = f64::from(calls);
                }
            }
        }
    }

    /// The time until `wanted` calls would be accepted.
    fn time_until(&self, wanted: f64, now: Instant) -> Duration {
        match self.limit.shape {
            Shape::TokenBucket { per_second, .. } => {
                let missing = (wanted - self.remaining).max(0.0);
                Duration::from_secs_f64(missing / per_second)
            }
            Shape::FixedWindow { window, .. } => {
                if self.remaining >= wanted {
                    return Duration::ZERO;
                }
                (self.since + window).duration_since(now)
            }
        }
    }

    fn headers(&self, is_accepted: bool, now: Instant) -> Vec<(String, String)> {
        let capacity = capacity(self.limit.shape);
        match self.limit.headers {
            LimitHeaders::RetryAfter if !is_accepted => {
                let seconds = retry_after_s(self.time_until(1.0, now));
                vec![("retry-after".to_owned(), seconds.to_string())]
            }
            LimitHeaders::None | LimitHeaders::RetryAfter => Vec::new(),
            LimitHeaders::XRateLimit => {
                let reset = reset_text(self.time_until(capacity, now));
                [
                    ("limit", capacity.to_string()),
                    ("remaining", self.remaining.floor().to_string()),
                    ("reset", reset),
                ]
                .map(|(part, value)| (format!("x-ratelimit-{part}-requests"), value))
                .to_vec()
            }
        }
    }
}

/// The most calls that are accepted at once.
fn capacity(shape: Shape) -> f64 {
    match shape {
        Shape::TokenBucket { burst, .. } => burst,
        Shape::FixedWindow { calls, .. } => f64::from(calls),
    }
}
