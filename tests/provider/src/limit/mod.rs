//! The rate limits of the scripted LLM. A limit refuses calls with 429 before the script chooses their reply.
//!
//! - [`rate_limit`]: what a test configures
//! - [`limiter`]: counts the calls under one limit; it gets the time from its caller
//! - [`headers`]: what a response reports about the limit

mod headers;
mod limiter;
mod rate_limit;
#[cfg(test)]
mod tests;

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

pub use rate_limit::{LimitHeaders, RateLimit};

use self::limiter::{Limiter, Verdict};

/// The limits of one server.
#[derive(Default)]
pub(super) struct RateLimits(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The limit on the calls of all models without a limit of their own.
    all: Option<Limiter>,
    by_model: Vec<(String, Limiter)>,
}

impl RateLimits {
    /// Sets the limit on the calls of all models without a limit of their own.
    pub(super) fn set(&self, limit: Option<RateLimit>) {
        self.with_inner(|inner| inner.all = limit.map(|limit| Limiter::new(limit, Instant::now())));
    }

    /// Sets the limit of one model.
    pub(super) fn set_for_model(&self, model: &str, limit: Option<RateLimit>) {
        self.with_inner(|inner| {
            inner.by_model.retain(|(name, _)| name != model);
            let limiter = limit.map(|limit| Limiter::new(limit, Instant::now()));
            inner
                .by_model
                .extend(limiter.map(|limiter| (model.to_owned(), limiter)));
        });
    }

    /// Whether a call of this model is accepted now. `None` if no limit applies to the model.
    pub(super) fn decide(&self, model: &str) -> Option<Verdict> {
        self.with_inner(|inner| {
            let own = inner.by_model.iter_mut().find(|(name, _)| name == model);
            let limiter = own.map(|(_, limiter)| limiter).or(inner.all.as_mut());
            // The time is read under the lock, so that it never goes back for a limiter.
            limiter.map(|limiter| limiter.decide(Instant::now()))
        })
    }

    fn with_inner<T>(&self, action: impl FnOnce(&mut Inner) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
