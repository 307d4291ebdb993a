//! Tests of the headers that all responses have.

use crate::{
    fixture::{Fixture, job_in_session},
    raw_http::{END_SENDING, exchange},
};

#[tokio::test]
async fn every_response_tells_browsers_to_store_and_load_nothing() {
    let gateway = Fixture::start().await;
    let unreadable = exchange(gateway.address, b"GET / HTTP/9\r\n\r\n", END_SENDING).await;
    assert_eq!(unreadable.len(), 1, "{unreadable:?}");
    for response in unreadable {
        for header in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            assert!(response.head.contains(header), "{}", response.head);
        }
    }
    let job = gateway.submit(&job_in_session("s")).await;
    let responses = [
        job,
        gateway.get("/v1/queues").await,
        gateway.get("/v1/jobs/unknown").await,
        gateway.get("/unknown").await,
        gateway.delete("/v1/queues").await,
    ];
    for response in responses {
        let status = response.status;
        assert_eq!(
            response.header("cache-control"),
            Some("no-store"),
            "{status}"
        );
        assert_eq!(
            response.header("x-content-type-options"),
            Some("nosniff"),
            "{status}"
        );
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(
            response.header("content-security-policy"),
            Some(policy),
            "{status}"
        );
        assert_eq!(
            response.header("referrer-policy"),
            Some("no-referrer"),
            "{status}"
        );
        assert_eq!(response.header("server"), None, "{status}");
        assert_eq!(
            response.header("access-control-allow-origin"),
            None,
            "{status}"
        );
    }
    // The document and its page have rules of their own.
    let document = gateway.get("/openapi.json").await;
    assert_eq!(document.header("cache-control"), Some("no-cache"));
    let page = gateway.get("/docs").await;
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("script-src 'self'"), "{policy}");
}
