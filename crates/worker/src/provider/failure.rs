//! What went wrong with a call, and whether another try can help.

use forebay_shared::{job::JobError, secret::Secret};

/// A call that did not bring a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", error.code, error.message)]
pub struct Failure {
    /// What the job's `error` and its attempt show. Never holds a key or a prompt.
    pub error: JobError,
    /// Whether another try can help.
    pub retry: Retry,
}

/// Whether another try can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It cannot: the same call would fail the same way.
    Never,
    /// It can, after a pause that grows with each try.
    Backoff,
    /// It can, not before this many milliseconds, as the provider said (`Retry-After`).
    AfterMs(u64),
    /// It can once, with less context (`context_length_exceeded`).
    LessContext,
    /// It can at once: the provider said that it has not begun with the request.
    AtOnce,
}

impl Failure {
    /// A failure with its code and a sentence for people.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>, retry: Retry) -> Self {
        Self {
            error: JobError::new(code, message),
            retry,
        }
    }

    /// The failure with these values taken out of its message: what a provider says is shown, and some
    /// repeat the key that they refuse.
    #[must_use]
    pub(crate) fn without(mut self, secrets: &[Secret]) -> Self {
        for secret in secrets {
            self.error.message = secret.redact(&self.error.message);
        }
        self
    }
}
