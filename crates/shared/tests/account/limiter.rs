//! The rate limits of simulated providers, with virtual time in milliseconds.

use std::collections::VecDeque;

use forebay_shared::account::{ReportedLimit, ReportedLimits};

/// How a provider limits the rate.
#[derive(Clone, Debug)]
pub(crate) enum Limiter {
    /// No limit.
    None,
    /// A level that refills at `rate` units a second up to `burst`.
    TokenBucket {
        rate: f64,
        burst: f64,
        level: f64,
        at_ms: u64,
        /// The reported time until the bucket is full, as a part of the true time.
        reported_part: f64,
    },
    /// At most `limit` requests in each window.
    FixedWindow {
        limit: u64,
        window_ms: u64,
        start_ms: u64,
        used: u64,
    },
    /// At most `limit` calls in flight. Further ones are refused with an overload.
    Concurrency { limit: u32, in_flight: u32 },
    /// At most `limit` requests in any window.
    SlidingWindow {
        limit: usize,
        window_ms: u64,
        accepted_at: VecDeque<u64>,
    },
}

impl Limiter {
    pub(crate) const fn token_bucket(per_minute: u64, burst: u64) -> Self {
        Self::TokenBucket {
            rate: per_minute as f64 / 60.0,
            burst: burst as f64,
            level: burst as f64,
            at_ms: 0,
            reported_part: 1.0,
        }
    }

    /// The same token bucket, with reports of a rate that is `times` as high.
    pub(crate) fn with_too_high_reports(mut self, times: f64) -> Self {
        if let Self::TokenBucket { reported_part, .. } = &mut self {
            *reported_part = 1.0 / times;
        }
        self
    }

    pub(crate) const fn fixed_window(limit: u64, window_ms: u64) -> Self {
        Self::FixedWindow {
            limit,
            window_ms,
            start_ms: 0,
            used: 0,
        }
    }

    pub(crate) const fn sliding_window(limit: usize, window_ms: u64) -> Self {
        Self::SlidingWindow {
            limit,
            window_ms,
            accepted_at: VecDeque::new(),
        }
    }

    pub(crate) const fn concurrency(limit: u32) -> Self {
        Self::Concurrency {
            limit,
            in_flight: 0,
        }
    }

    /// An accepted call ends.
    pub(crate) const fn end(&mut self) {
        if let Self::Concurrency { in_flight, .. } = self {
            *in_flight -= 1;
        }
    }

    fn advance(&mut self, now_ms: u64) {
        match self {
            Self::None | Self::Concurrency { .. } => {}
            Self::TokenBucket {
                rate,
                burst,
                level,
                at_ms,
                ..
            } => {
                *level = (*level + *rate * (now_ms - *at_ms) as f64 / 1_000.0).min(*burst);
                *at_ms = now_ms;
            }
            Self::FixedWindow {
                window_ms,
                start_ms,
                used,
                ..
            } => {
                let start = now_ms / *window_ms * *window_ms;
                if start != *start_ms {
                    *start_ms = start;
                    *used = 0;
                }
            }
            Self::SlidingWindow {
                window_ms,
                accepted_at,
                ..
            } => {
                while accepted_at
                    .front()
                    .is_some_and(|at| at + *window_ms <= now_ms)
                {
                    accepted_at.pop_front();
                }
            }
        }
    }

    /// Accepts or refuses a request.
    ///
    /// # Errors
    /// The request is refused. The number is the milliseconds until the next one can be accepted.
    pub(crate) fn request(&mut self, now_ms: u64) -> Result<(), u64> {
        self.advance(now_ms);
        match self {
            Self::None => Ok(()),
            Self::Concurrency { limit, in_flight } => {
                if in_flight >= limit {
                    return Err(1);
                }
                *in_flight += 1;
                Ok(())
            }
            Self::TokenBucket { rate, level, .. } => {
                if *level < 1.0 {
                    return Err(((1.0 - *level) / *rate * 1_000.0).ceil() as u64);
                }
                *level -= 1.0;
                Ok(())
            }
            Self::FixedWindow {
                limit,
                window_ms,
                start_ms,
                used,
            } => {
                if used >= limit {
                    return Err(*start_ms + *window_ms - now_ms);
                }
                *used += 1;
                Ok(())
            }
            Self::SlidingWindow {
                limit,
                window_ms,
                accepted_at,
            } => {
                if accepted_at.len() >= *limit {
                    return Err(accepted_at[0] + *window_ms - now_ms);
                }
                accepted_at.push_back(now_ms);
                Ok(())
            }
        }
    }

    /// The limits that the `x-ratelimit` headers of a response report.
    pub(crate) fn report(&mut self, now_ms: u64) -> Option<ReportedLimits> {
        self.advance(now_ms);
        let (limit, remaining, reset_ms) = match self {
            Self::None | Self::Concurrency { .. } => return None,
            Self::TokenBucket {
                rate,
                burst,
                level,
                reported_part,
                ..
            } => {
                let reset_ms = ((*burst - *level) / *rate * *reported_part * 1_000.0).ceil();
                (*burst as u64, *level as u64, reset_ms as u64)
            }
            Self::FixedWindow {
                limit,
                window_ms,
                start_ms,
                used,
            } => (*limit, *limit - *used, *start_ms + *window_ms - now_ms),
            Self::SlidingWindow {
                limit,
                window_ms,
                accepted_at,
            } => {
                let newest = accepted_at.back().map_or(0, |at| at + *window_ms - now_ms);
                (*limit as u64, (*limit - accepted_at.len()) as u64, newest)
            }
        };
        let requests = Some(ReportedLimit {
            limit,
            remaining,
            reset_ms,
        });
        Some(ReportedLimits {
            requests,
            tokens: None,
        })
    }
}
