//! The limits that a provider reports reach the worker with each answer, whatever its status.

use forebay_shared::account::{ReportedLimit, ReportedLimits};
use forebay_worker::provider::{Answer, Failure};

use crate::{REPLY, ask, peer::Port};

/// The headers of an answer.
const HEADERS: &str = "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 0\r\n\
     x-ratelimit-reset-requests: 1s\r\n";
/// The limits that [`HEADERS`] report.
const LIMITS: ReportedLimits = ReportedLimits {
    requests: Some(ReportedLimit {
        limit: 60,
        remaining: 0,
        reset_ms: 1_000,
    }),
    tokens: None,
};

/// The result of a call that gets this answer.
async fn result_of(status: u16, headers: &str, body: &str) -> Result<Answer, Failure> {
    let (port, provider) = Port::open_with_provider("127.0.0.1").await;
    let answer = async {
        let mut peer = port.accept().await;
        peer.read_request().await;
        let length = body.len();
        peer.write(&format!(
            "HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\n\r\n{body}"
        ))
        .await;
    };
    tokio::join!(ask(&provider), answer).0
}

#[tokio::test]
async fn a_reply_has_the_limits_of_its_headers() {
    let answer = result_of(200, HEADERS, REPLY).await.expect("a reply");
    assert_eq!(answer.limits.as_deref(), Some(&LIMITS));
    let answer = result_of(200, "", REPLY).await.expect("a reply");
    assert_eq!(answer.limits, None);
}

#[tokio::test]
async fn a_failure_has_the_limits_of_the_headers_if_an_answer_arrived() {
    for (status, body) in [(429, "{}"), (500, ""), (200, "no JSON"), (400, "")] {
        let failure = result_of(status, HEADERS, body).await;
        let failure = failure.expect_err("the call fails");
        assert_eq!(failure.limits.as_deref(), Some(&LIMITS), "{failure}");
    }
    let failure = result_of(429, "", "{}").await.expect_err("the call fails");
    assert_eq!(failure.limits, None);
}
