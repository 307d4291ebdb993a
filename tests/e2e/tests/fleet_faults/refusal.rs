//! The refusal of a request by a gateway.

use std::time::Instant;

use e2e::client::Answer;

/// The refusal of a request.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// When the client received the refusal.
    pub(crate) at: Instant,
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) retry_after: Option<String>,
}

impl Refusal {
    pub(crate) fn from_answer(answer: &Answer) -> Self {
        Self {
            at: Instant::now(),
            status: answer.status.as_u16(),
            code: answer.body["code"].as_str().unwrap_or("?").to_owned(),
            retry_after: answer.header("retry-after").map(str::to_owned),
        }
    }

    /// Asserts that the status is 503, the code is one of `codes`, and `Retry-After` is at least a second.
    pub(crate) fn assert_503(&self, codes: &[&str]) {
        assert_eq!(self.status, 503, "{self:?}");
        assert!(
            codes.contains(&self.code.as_str()),
            "another code than {codes:?}: {self:?}"
        );
        let retry_after_s = self.retry_after.as_ref().and_then(|text| text.parse().ok());
        assert!(
            retry_after_s.is_some_and(|seconds: u64| seconds >= 1),
            "Retry-After is missing or less than a second: {self:?}"
        );
    }
}
