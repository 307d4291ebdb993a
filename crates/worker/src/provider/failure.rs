//! A failed call, and whether a retry can help.

use forebay_shared::{account::ReportedLimits, job::JobError, secret::Secret};

use super::{context_length::ContextTokens, fault::Fault};

/// A call that returned no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", error.code, error.message)]
pub struct Failure {
    /// The error that the job and its attempt show. It never contains a key. A message of the provider may quote the prompt.
    pub error: JobError,
    /// Whether a retry can help.
    pub retry: Retry,
    /// The cause of the failure.
    pub fault: Fault,
    /// Whether the provider answered the call over HTTP. Otherwise the failure does not show whether the provider can be reached.
    pub is_answer: bool,
    /// The token counts that the provider states; only with [`Retry::LessContext`]. Boxed, because few failures have
    /// them.
    pub context_tokens: Option<Box<ContextTokens>>,
    /// The limits in the headers of the answer, if an answer arrived.
    pub limits: Option<Box<ReportedLimits>>,
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
    /// The same call with less context can help (`context_length_exceeded`).
    LessContext,
}

impl Failure {
    /// The code of a call whose connection failed. Its message is never a text of the provider.
    pub const CONNECTION_FAILED: &str = "connection_failed";

    /// A failure of the call itself ([`Fault::Call`]), with a code and a message for people. Control characters in the message
    /// are replaced by spaces, because they could change the terminal that shows the message.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>, retry: Retry) -> Self {
        let message = message.into().replace(char::is_control, " ");
        Self::of_error(JobError::new(code, message), retry)
    }

    /// A failure of the call itself ([`Fault::Call`]) with this error.
    #[must_use]
    pub const fn of_error(error: JobError, retry: Retry) -> Self {
        Self {
            error,
            retry,
            fault: Fault::Call,
            is_answer: false,
            context_tokens: None,
            limits: None,
        }
    }

    /// The failure with this fault.
    #[must_use]
    pub const fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// Marks the failure as an answer of the provider over HTTP.
    #[must_use]
    pub const fn as_answer(mut self) -> Self {
        self.is_answer = true;
        self
    }

    /// The failure of a call whose context is too long, with the token counts that the provider states.
    #[must_use]
    pub(super) fn context_too_long(message: String, stated: ContextTokens) -> Self {
        Self {
            context_tokens: Some(Box::new(stated)),
            ..Self::new("context_length_exceeded", message, Retry::LessContext)
        }
    }

    /// The failure with the limits in the headers of the answer.
    #[must_use]
    pub fn with_limits(mut self, limits: Option<Box<ReportedLimits>>) -> Self {
        self.limits = limits;
        self
    }

    /// The failure with the text of an unfinished reply as its detail.
    #[must_use]
    pub fn with_detail(mut self, detail: Option<String>) -> Self {
        self.error = self.error.with_detail(detail);
        self
    }

    /// The failure with the message and the detail of another failure.
    #[must_use]
    pub(super) fn with_texts_of(mut self, other: Self) -> Self {
        self.error.message = other.error.message;
        self.error.detail = other.error.detail;
        self
    }

    /// The failure without these secrets in its message and its detail. Both quote the provider, and some providers repeat
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

#[cfg(test)]
mod tests {
    use super::{Failure, Retry};

    #[test]
    fn a_message_has_no_control_characters() {
        let failure = Failure::new("c", "\u{1b}[31mno\0\r\nway\u{85}", Retry::Never);
        assert_eq!(failure.error.message, " [31mno   way ");
    }
}
