//! A rate limit, as a test configures it.

use std::time::Duration;

/// A limit on the calls of a server or of one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    pub(super) shape: Shape,
    pub(super) headers: LimitHeaders,
}

/// How the calls are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// A bucket of at most `burst` tokens, which fills evenly. Each accepted call takes a token.
    TokenBucket { per_second: f64, burst: f64 },
    /// At most `calls` accepted calls in each window. The windows follow each other without a gap.
    FixedWindow { calls: u32, window: Duration },
}

/// What responses report about the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitHeaders {
    /// Nothing.
    None,
    /// A 429 has `Retry-After` (RFC 9110, section 10.2.3): the time until the next call is accepted, in whole seconds,
    /// rounded up.
    RetryAfter,
    /// Every response has `x-ratelimit-limit-requests`, `x-ratelimit-remaining-requests` and
    /// `x-ratelimit-reset-requests`, as those of OpenAI. `reset` is the time until all requests remain again.
    XRateLimit,
}

impl RateLimit {
    /// A token bucket without headers. It begins with `burst` tokens.
    ///
    /// # Panics
    /// If a number is 0.
    #[must_use]
    pub fn token_bucket(per_minute: u32, burst: u32) -> Self {
        assert!(per_minute > 0 && burst > 0, "the bucket lets no call pass");
        Self {
            shape: Shape::TokenBucket {
                per_second: f64::from(per_minute) / 60.0,
                burst: f64::from(burst),
            },
            headers: LimitHeaders::None,
        }
    }

    /// A fixed window without headers. The first window begins when the limit is set.
    ///
    /// # Panics
    /// If a number is 0.
    #[must_use]
    pub fn fixed_window(calls: u32, window: Duration) -> Self {
        assert!(
            calls > 0 && !window.is_zero(),
            "the window lets no call pass"
        );
        Self {
            shape: Shape::FixedWindow { calls, window },
            headers: LimitHeaders::None,
        }
    }

    /// Sets what responses report about the limit.
    #[must_use]
    pub const fn with_headers(mut self, headers: LimitHeaders) -> Self {
        self.headers = headers;
        self
    }
}
