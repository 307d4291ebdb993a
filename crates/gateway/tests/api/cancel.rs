//! Tests of `POST /v1/jobs/{id}/cancel`.

use forebay_shared::store::Topic;
use serde_json::json;

use crate::fixture::{Fixture, job_in_session, lane_of, lane_without_session};

#[tokio::test]
async fn a_queued_job_is_cancelled_once() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    let path = format!("/v1/jobs/{id}/cancel");
    let job = gateway.post(&path).await.expect(200);
    assert_eq!(job["status"], "cancelled");
    assert_eq!(job["error"]["code"], "cancelled");
    assert!(job["ended_at"].is_string());
    gateway
        .post(&path)
        .await
        .expect_problem(409, "job_finished");
    assert_eq!(gateway.live_jobs().await, 0);
}

#[tokio::test]
async fn a_cancel_notifies_the_worker_of_a_running_job() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    gateway.claim(&lane_without_session(id), id).await;
    let topic = Topic::Calls(gateway.member.id.clone());
    let mut calls = gateway.member.store.watch(topic).await.unwrap();
    let job = gateway
        .post(&format!("/v1/jobs/{id}/cancel"))
        .await
        .expect(200);
    assert_eq!(job["status"], "cancelled");
    assert_eq!(calls.next().await, Some(id));
}

#[tokio::test]
async fn a_completed_job_cannot_be_cancelled() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    gateway.complete(&lane_of("s"), id, "Hello.").await;
    let problem = gateway.post(&format!("/v1/jobs/{id}/cancel")).await;
    let problem = problem.expect_problem(409, "job_finished");
    assert!(problem["detail"].as_str().unwrap().contains("completed"));
}

#[tokio::test]
async fn the_cancel_of_a_job_with_a_large_reply_needs_no_memory() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    let text = "x".repeat(200_000);
    gateway.complete(&lane_of("s"), id, &text).await;
    let reads = &gateway.member.memory.reads;
    let _others = reads.try_reserve(u64::MAX).expect("the memory is free");
    let problem = gateway.post(&format!("/v1/jobs/{id}/cancel")).await;
    let problem = problem.expect_problem(409, "job_finished");
    assert!(problem["detail"].as_str().unwrap().contains("completed"));
}
