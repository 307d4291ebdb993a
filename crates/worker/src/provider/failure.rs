//! A failed call, and whether a retry can help.

use forebay_shared::{job::JobError, secret::Secret};

/// A call that returned no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", error.code, error.message)]
pub struct Failure {
    /// The error that the job and its attempt show. It never contains a key or a prompt.
    pub error: JobError,
    /// Whether a retry can help.
    pub retry: Retry,
}

/// Whether a retry can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// A retry cannot help: the same call would fail in the same way.
    Never,
    /// A retry can help, after a delay that grows with each try.
    Backoff,
    /// A retry can help after this many milliseconds, as the provider asks (`Retry-After`).
    AfterMs(u64),
    /// One retry with less context can help (`context_length_exceeded`).
    LessContext,
}

impl Failure {
    /// A failure with a code and a sentence for people.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>, retry: Retry) -> Self {
        Self {
            error: JobError::new(code, message),
            retry,
        }
    }

    /// The failure with the text of a reply that the provider did not finish.
    #[must_use]
    pub fn with_detail(mut self, detail: Option<String>) -> Self {
        self.error = self.error.with_detail(detail);
        self
    }

    /// The failure without these values in its message and its detail. Both quote the provider, and some providers repeat
    /// the key that they refuse.
    #[must_use]
    pub(crate) fn without(mut self, secrets: &[Secret]) -> Self {
        for secret in secrets {
            self.error.message = secret.redact(&self.error.message);
            self.error.detail = self.error.detail.map(|detail| secret.redact(&detail));
        }
        self
    }
}
