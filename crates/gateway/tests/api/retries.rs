//! Tests of `POST /v1/jobs/{id}/retry`.

use forebay_shared::{
    ids::{JobId, TenantId},
    lane::LANE_MAX,
};
use serde_json::{Value, json};

use crate::fixture::{Fixture, id_of, job_in_session, lane_of, lane_without_session};

async fn cancel(gateway: &Fixture, job: JobId) -> Value {
    let path = format!("/v1/jobs/{job}/cancel");
    gateway.post(&path).await.expect(200)
}

/// The time from a job's last retry to its expiry, and the time from its submit to its expiry, in milliseconds.
async fn lifetime_ms(gateway: &Fixture, job: JobId) -> (u64, u64) {
    let read = gateway.member.store.job(&TenantId::default(), job).await;
    let meta = read.unwrap().unwrap().meta;
    let retried_at = meta.retried_at.unwrap_or(meta.created_at);
    let from_retry = meta.expires_at.since_ms(retried_at);
    (from_retry, meta.expires_at.since_ms(meta.created_at))
}

#[tokio::test]
async fn a_cancelled_job_runs_again_under_its_id_and_its_key() {
    let gateway = Fixture::start().await;
    let body = json!({"input": "Hi.", "session_id": "s", "expires_in_s": 60});
    let submitted = gateway.submit_with_key(&body, "k").await.expect(202);
    let id = id_of(&submitted);
    assert_eq!(submitted.get("retried_at"), None);
    gateway.claim(&lane_of("s"), id).await;
    let cancelled = cancel(&gateway, id).await;
    assert_eq!(cancelled["attempts"].as_array().map(Vec::len), Some(1));

    let path = format!("/v1/jobs/{id}");
    let response = gateway.post(&format!("{path}/retry")).await;
    assert_eq!(response.header("location"), Some(path.as_str()));
    assert!(response.header("retry-after").is_some());
    let accepted = response.expect(202);
    let mut shown = gateway.get(&path).await.expect(200);
    // The expected time changes.
    shown["queue"] = accepted["queue"].clone();
    assert_eq!(accepted, shown);
    assert_eq!(
        (id_of(&accepted), &accepted["status"]),
        (id, &json!("queued"))
    );
    assert_eq!(accepted["created_at"], submitted["created_at"]);
    assert!(accepted["retried_at"].is_string(), "{accepted}");
    assert_ne!(accepted["expires_at"], submitted["expires_at"]);
    for gone in ["ended_at", "error", "started_at"] {
        assert_eq!(accepted[gone], Value::Null, "{accepted}");
    }
    assert_eq!(accepted["attempts"], json!([]));

    let again = gateway.submit_with_key(&body, "k").await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(id_of(&again.expect(202)), id);
    assert_eq!(gateway.live_jobs().await, 1);
    gateway.complete(&lane_of("s"), id, "Hello.").await;
    let job = gateway.get(&path).await.expect(200);
    assert_eq!(
        (&job["status"], &job["attempts"][0]["n"]),
        (&json!("completed"), &json!(1))
    );
    let session = gateway.get("/v1/sessions/s").await.expect(200);
    assert_eq!(session["turn_count"], 2, "{session}");
}

#[tokio::test]
async fn each_retry_has_the_lifetime_of_the_submit() {
    let gateway = Fixture::start().await;
    let body = json!({"input": "Hi.", "expires_in_s": 60});
    let id = gateway.submit_accepted(&body).await;
    for _ in 0..3 {
        cancel(&gateway, id).await;
        let retried = gateway.post(&format!("/v1/jobs/{id}/retry")).await;
        retried.expect(202);
        let (from_retry, from_submit) = lifetime_ms(&gateway, id).await;
        assert_eq!(from_retry, 60_000);
        assert!(from_submit > 60_000, "{from_submit}");
    }
    gateway
        .complete(&lane_without_session(id), id, "Hello.")
        .await;
}

#[tokio::test]
async fn a_live_or_completed_job_is_not_retried() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    let path = format!("/v1/jobs/{id}/retry");
    gateway.post(&path).await.expect_problem(409, "job_live");
    let text = "x".repeat(200_000);
    gateway.complete(&lane_of("s"), id, &text).await;
    let reads = &gateway.member.memory.reads;
    let _others = reads.try_reserve(u64::MAX).expect("the memory is free");
    gateway
        .post(&path)
        .await
        .expect_problem(409, "job_finished");
    gateway
        .post(&format!("/v1/jobs/job_{}/retry", "0".repeat(34)))
        .await
        .expect_problem(404, "job_not_found");
}

#[tokio::test]
async fn a_retried_job_waits_behind_the_live_jobs_of_its_session() {
    let gateway = Fixture::start().await;
    let first = gateway.submit_accepted(&job_in_session("s")).await;
    let second = gateway.submit_accepted(&job_in_session("s")).await;
    cancel(&gateway, first).await;
    gateway
        .post(&format!("/v1/jobs/{first}/retry"))
        .await
        .expect(202);
    let lane = gateway.member.store.load(&lane_of("s"), &[], None).await;
    let jobs: Vec<JobId> = lane
        .unwrap()
        .lane
        .entries
        .iter()
        .map(|entry| entry.job)
        .collect();
    assert_eq!(jobs, [second, first]);
}

#[tokio::test]
async fn the_limits_of_a_submit_hold_for_a_retry() {
    let gateway = Fixture::with_settings(|settings| settings.backlog_max = 2).await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    cancel(&gateway, id).await;
    gateway.fill_backlog(2).await;
    let path = format!("/v1/jobs/{id}/retry");
    let refused = gateway.post(&path).await;
    assert!(refused.header("retry-after").is_some());
    refused.expect_problem(503, "backlog_full");
    let job = gateway.get(&format!("/v1/jobs/{id}")).await.expect(200);
    assert_eq!(job["status"], "cancelled", "the refusal changes nothing");

    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    cancel(&gateway, id).await;
    for _ in 0..LANE_MAX {
        gateway.submit_accepted(&job_in_session("s")).await;
    }
    let refused = gateway.post(&format!("/v1/jobs/{id}/retry")).await;
    refused.expect_problem(429, "session_full");
}

#[tokio::test]
async fn two_retries_at_once_begin_one_life() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    cancel(&gateway, id).await;
    let path = format!("/v1/jobs/{id}/retry");
    let (first, second) = tokio::join!(gateway.post(&path), gateway.post(&path));
    for response in [first, second] {
        if response.status == 409 {
            response.expect_problem(409, "job_live");
        } else {
            assert_eq!(response.expect(202)["status"], "queued");
        }
    }
    assert_eq!(gateway.live_jobs().await, 1);
}
