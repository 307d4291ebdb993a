//! The refusal of a request by a gateway.

use std::time::{Duration, Instant};

use e2e::{client::Answer, slowdown};

/// A gateway's timeout for a commit, after which it refuses the submit with `store_unavailable`.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// The smallest slowdown of the machine that explains such a refusal without a fault of Redis. On a machine without other
/// load, a commit takes a small part of the timeout.
const SLOWDOWN_MIN: f64 = 5.0;
/// The shortest stall of the machine that explains such a refusal.
const STALL_MIN: Duration = Duration::from_secs(1);

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

    /// Whether the store answered too late only because the machine was much slower than an idle one.
    pub(crate) fn is_caused_by_slow_machine(&self) -> bool {
        let began = self.at - STORE_TIMEOUT;
        let was_slow = slowdown::between(began, self.at) >= SLOWDOWN_MIN;
        let has_stalled = slowdown::stalled_between(began, self.at) >= STALL_MIN;
        self.code == "store_unavailable" && (was_slow || has_stalled)
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
