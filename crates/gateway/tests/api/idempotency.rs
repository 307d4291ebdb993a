//! Tests of `Idempotency-Key`: one key makes one job, even if a gateway stops after it has set the key and before it has
//! admitted the job.

use faulty_store::StoreMode;
use std::collections::BTreeSet;

use forebay_shared::{
    document::{DocumentVersion, UnknownFields},
    ids::{JobId, TenantId},
    store::{IdempotencyEntry, SetKeyResult},
};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::fixture::{ApiResponse, Fixture, id_of, job_in_session, lane_of};

#[tokio::test]
async fn a_repeat_shows_the_same_job_in_its_current_status() {
    let gateway = Fixture::start().await;
    let first = gateway.submit_with_key(&job_in_session("s"), "k").await;
    assert_eq!(first.header("idempotency-replayed"), None);
    let id = id_of(&first.expect(202));
    let record = gateway
        .member
        .store
        .job(&TenantId::default(), id)
        .await
        .unwrap()
        .unwrap();
    let kept_ms = record
        .meta
        .keep_until
        .unwrap()
        .since_ms(record.meta.created_at);
    assert!(
        kept_ms > 24 * 3_600_000,
        "the record is kept longer than the key"
    );

    gateway.complete(&lane_of("s"), id, "Hello.").await;
    let again = gateway.submit_with_key(&job_in_session("s"), "\"k\"").await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(
        again.header("location"),
        Some(format!("/v1/jobs/{id}").as_str())
    );
    let again = again.expect(202);
    assert_eq!((id_of(&again), &again["status"]), (id, &json!("completed")));
    assert_eq!(gateway.live_jobs().await, 0);

    let other = gateway
        .submit_with_key(&job_in_session("s"), "k2")
        .await
        .expect(202);
    assert_ne!(id_of(&other), id);
}

#[tokio::test]
async fn a_used_key_with_another_body_is_refused() {
    let gateway = Fixture::start().await;
    gateway
        .submit_with_key(&job_in_session("s"), "k")
        .await
        .expect(202);
    let other = gateway.submit_with_key(&job_in_session("other"), "k").await;
    other.expect_problem(422, "idempotency_key_reused");
    assert_eq!(gateway.live_jobs().await, 1);
}

#[tokio::test]
async fn an_invalid_key_is_refused() {
    let gateway = Fixture::start().await;
    for key in ["", "\"open", &"x".repeat(256)] {
        let problem = gateway.submit_with_key(&job_in_session("s"), key).await;
        let problem = problem.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["field"], "Idempotency-Key");
    }
    assert_eq!(gateway.live_jobs().await, 0);
}

#[tokio::test]
async fn twenty_concurrent_submits_with_one_key_make_one_job() {
    let gateway = Fixture::start().await;
    let body = job_in_session("s");
    let mut responses = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let request = gateway.request(Method::POST, "/v1/jobs").json(&body);
        let request = request.header("idempotency-key", "k");
        tasks.spawn(async move { ApiResponse::read(request.send().await.unwrap()).await });
    }
    while let Some(response) = tasks.join_next().await {
        responses.push(response.unwrap());
    }
    let original_responses = responses
        .iter()
        .filter(|response| response.header("idempotency-replayed").is_none());
    assert_eq!(original_responses.count(), 1);
    let ids: BTreeSet<JobId> = responses
        .into_iter()
        .map(|response| id_of(&response.expect(202)))
        .collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(gateway.live_jobs().await, 1);
}

#[tokio::test]
async fn a_repeat_admits_the_missing_job_of_its_key() {
    let gateway = Fixture::start().await;
    let body = job_in_session("s").to_string();
    // A gateway leaves this state when it stops after it has set the key and before it has admitted the job.
    let session = forebay_shared::ids::SessionId::parse("s").unwrap();
    let job = JobId::fresh(&TenantId::default(), Some(&session));
    let digest = Sha256::digest(body.as_bytes());
    let entry = IdempotencyEntry {
        v: DocumentVersion::FIRST,
        job,
        body_sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        created_at: gateway.member.store.now(),
        refused: false,
        revision: 0,
        unknown: UnknownFields::NONE,
    };
    let set = gateway
        .member
        .store
        .set_idempotency_key(&TenantId::default(), "k", &entry, 60_000)
        .await;
    assert_eq!(set.unwrap(), SetKeyResult::Set);

    let request = gateway.request(Method::POST, "/v1/jobs").body(body);
    let request = request.header("content-type", "application/json");
    let response = gateway.send(request.header("idempotency-key", "k")).await;
    assert_eq!(response.header("idempotency-replayed"), Some("true"));
    assert_eq!(id_of(&response.expect(202)), job);
    assert_eq!(gateway.live_jobs().await, 1);
}

#[tokio::test]
async fn a_refused_submit_can_be_repeated_with_its_key() {
    let gateway = Fixture::start().await;
    gateway.store.set_mode(StoreMode::Full);
    gateway
        .submit_with_key(&job_in_session("s"), "k")
        .await
        .expect_problem(503, "store_full");
    gateway.store.set_mode(StoreMode::Up);
    gateway
        .submit_with_key(&job_in_session("s"), "k")
        .await
        .expect(202);
    assert_eq!(gateway.live_jobs().await, 1);
}

#[tokio::test]
async fn a_repeat_is_answered_at_the_backlog_limit() {
    let gateway = Fixture::with_settings(|settings| settings.backlog_max = 2).await;
    let id = id_of(
        &gateway
            .submit_with_key(&job_in_session("s"), "k")
            .await
            .expect(202),
    );
    gateway.fill_backlog(2).await;
    let new = gateway.submit_with_key(&job_in_session("s"), "k2").await;
    new.expect_problem(503, "backlog_full");
    let again = gateway
        .submit_with_key(&job_in_session("s"), "k")
        .await
        .expect(202);
    assert_eq!(id_of(&again), id);
}

#[tokio::test]
async fn a_repeat_reserves_the_memory_of_a_large_reply_until_the_client_has_read_it() {
    let gateway = Fixture::start().await;
    let body = job_in_session("s");
    let first = gateway.submit_with_key(&body, "k").await;
    let id = id_of(&first.expect(202));
    // The response is larger than the buffers of the sockets.
    let text = "x".repeat(16 << 20);
    gateway.complete(&lane_of("s"), id, &text).await;
    let reads = &gateway.member.memory.reads;
    let request = gateway.request(Method::POST, "/v1/jobs").json(&body);
    let request = request.header("idempotency-key", "k");
    let response = request.send().await.expect("the server responds");
    assert_eq!(response.status(), 202);
    let reserved = reads.total() - reads.available();
    assert!(reserved > text.len() as u64, "{reserved} bytes");
    let again = ApiResponse::read(response).await.expect(202);
    assert_eq!(again["output"]["text"], text);
}
