//! Tests of requests that wait for a job to end, with `wait_s` or `Prefer: wait=`.

use std::time::{Duration, Instant};

use faulty_store::StoreCall;
use reqwest::Method;
use serde_json::json;
use tokio::time::timeout;

use crate::fixture::{Fixture, lane_without_session};

/// A response within this time has not waited for 60 s.
const SOON: Duration = Duration::from_secs(30);

/// Returns when a waiting request has subscribed to notices and begins to read its job.
async fn wait_has_begun(gateway: &Fixture) {
    gateway.store.wait_for_calls(StoreCall::Watch, 1).await;
    gateway.store.wait_for_calls(StoreCall::Job, 1).await;
}

#[tokio::test]
async fn a_wait_ends_when_the_job_ends() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let path = format!("/v1/jobs/{id}?wait_s=60&unknown=1");
    let waiting = gateway.get(&path);
    let finishing = async {
        wait_has_begun(&gateway).await;
        gateway
            .complete(&lane_without_session(id), id, "Hello.")
            .await;
    };
    let both = async { tokio::join!(waiting, finishing) };
    let (response, ()) = timeout(SOON, both)
        .await
        .expect("a response long before 60 s");
    assert_eq!(response.header("preference-applied"), None);
    assert_eq!(response.expect(200)["status"], "completed");

    let again = timeout(SOON, gateway.get(&path))
        .await
        .expect("a response at once");
    assert_eq!(again.expect(200)["status"], "completed");
}

#[tokio::test]
async fn a_wait_that_times_out_shows_the_queued_job() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let start = Instant::now();
    let response = gateway.get(&format!("/v1/jobs/{id}?wait_s=1")).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(response.header("retry-after").is_some());
    assert_eq!(response.expect(200)["status"], "queued");
}

#[tokio::test]
async fn the_header_timeout_does_not_end_a_wait() {
    let gateway = Fixture::with_settings(|settings| settings.header_timeout_ms = 200).await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let response = gateway.get(&format!("/v1/jobs/{id}?wait_s=1")).await;
    assert_eq!(response.expect(200)["status"], "queued");
}

#[tokio::test]
async fn a_prefer_header_that_was_applied_is_confirmed() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let prefer = |preference: &str| {
        let request = gateway.request(Method::GET, &format!("/v1/jobs/{id}"));
        gateway.send(request.header("prefer", preference))
    };
    let response = prefer("wait=1").await;
    assert_eq!(response.header("preference-applied"), Some("wait=1"));
    assert_eq!(response.expect(200)["status"], "queued");

    gateway
        .complete(&lane_without_session(id), id, "Hello.")
        .await;
    let response = timeout(SOON, prefer("wait=900"))
        .await
        .expect("a response at once");
    assert_eq!(response.header("preference-applied"), Some("wait=60"));
    assert_eq!(prefer("wait=long").await.header("preference-applied"), None);
}

#[tokio::test]
async fn a_wait_out_of_range_is_refused() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    for wait in ["61", "-1", "x", ""] {
        let response = gateway.get(&format!("/v1/jobs/{id}?wait_s={wait}")).await;
        let problem = response.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["field"], "wait_s");
    }
}

#[tokio::test]
async fn a_wait_over_the_limit_is_answered_at_once() {
    let gateway = Fixture::with_settings(|settings| settings.waits_max = 0).await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let path = format!("/v1/jobs/{id}?wait_s=60");
    let response = timeout(SOON, gateway.get(&path))
        .await
        .expect("a response at once");
    assert_eq!(response.expect(200)["status"], "queued");
}

#[tokio::test]
async fn a_stopping_gateway_answers_waiting_requests() {
    let mut gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let path = format!("/v1/jobs/{id}?wait_s=60");
    let stopping = async {
        wait_has_begun(&gateway).await;
        gateway.stop.cancel();
    };
    let (response, ()) = timeout(SOON, async { tokio::join!(gateway.get(&path), stopping) })
        .await
        .expect("a response long before 60 s");
    assert_eq!(response.expect(200)["status"], "queued");
    timeout(SOON, &mut gateway.server)
        .await
        .expect("the server ends")
        .expect("the server does not panic");
}
