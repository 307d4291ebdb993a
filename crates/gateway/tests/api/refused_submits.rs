//! Tests of submits with an idempotency key that are refused: they leave nothing in the store, or only the key
//! for a short time.

use std::collections::BTreeSet;

use faulty_store::{Fault, StoreCall};
use forebay_shared::{ids::TenantId, store::IdempotencyEntry};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinSet};

use crate::fixture::{ApiResponse, Fixture, id_of, job_in_session, lane_of};

/// The entry of a key in the store.
async fn entry_of(gateway: &Fixture, key: &str) -> Option<IdempotencyEntry> {
    let (store, tenant) = (&gateway.member.store, TenantId::default());
    let read = store.idempotency_key(&tenant, key).await;
    read.expect("the store answers")
}

/// A submit that is refused while its session has live jobs.
fn rejected_if_busy() -> Value {
    json!({"input": "Hi.", "session_id": "s", "if_busy": "reject"})
}

#[tokio::test]
async fn submits_refused_by_a_limit_write_nothing() {
    const REFUSED: usize = 400;
    let gateway = Fixture::with_settings(|settings| settings.backlog_max = 2).await;
    let first = gateway.submit_with_key(&job_in_session("s"), "first").await;
    let first = id_of(&first.expect(202));
    gateway.fill_backlog(2).await;
    let job = json!({"input": "x".repeat(12_000), "session_id": "s"});
    let bytes = gateway.stored_bytes();
    let commits = gateway.store.call_count(StoreCall::Commit);
    let keys_set = gateway.store.call_count(StoreCall::SetIdempotencyKey);
    let mut submits = JoinSet::new();
    for number in 0..REFUSED {
        let request = gateway.request(Method::POST, "/v1/jobs").json(&job);
        let request = request.header("idempotency-key", format!("k{number}"));
        submits.spawn(async move {
            let response = request.send().await.expect("the server responds");
            ApiResponse::read(response).await
        });
    }
    for response in submits.join_all().await {
        response.expect_problem(503, "backlog_full");
    }
    let mut keys_left = 0;
    for number in 0..REFUSED {
        keys_left += usize::from(entry_of(&gateway, &format!("k{number}")).await.is_some());
    }
    assert_eq!(keys_left, 0, "refused submits left keys");
    assert_eq!(gateway.store.call_count(StoreCall::Commit), commits);
    let set = gateway.store.call_count(StoreCall::SetIdempotencyKey);
    assert_eq!(set, keys_set);
    // The timers of the accepted jobs may be moved in the background.
    let written = gateway.stored_bytes() - bytes;
    assert!(written < 50_000, "refused submits wrote {written} bytes");

    // A repeat of an accepted submit still finds its job. Another body is still refused for its key.
    let again = gateway.submit_with_key(&job_in_session("s"), "first").await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(id_of(&again.expect(202)), first);
    let other = gateway.submit_with_key(&job, "first").await;
    other.expect_problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn an_accepted_submit_with_a_key_takes_two_store_calls() {
    let gateway = Fixture::start().await;
    gateway
        .submit_with_key(&job_in_session("s"), "k")
        .await
        .expect(202);
    let count = |call| gateway.store.call_count(call);
    assert_eq!(count(StoreCall::SetIdempotencyKey), 1);
    assert_eq!(count(StoreCall::Commit), 1);
    for call in [
        StoreCall::IdempotencyKey,
        StoreCall::SwapIdempotencyKey,
        StoreCall::Job,
        StoreCall::Load,
    ] {
        assert_eq!(count(call), 0, "{call:?}");
    }
}

#[tokio::test]
async fn repeats_do_not_count_towards_the_backlog() {
    let gateway = Fixture::with_settings(|settings| settings.backlog_max = 5).await;
    let job = job_in_session("s");
    gateway.submit_with_key(&job, "k").await.expect(202);
    for _ in 0..20 {
        gateway.submit_with_key(&job, "k").await.expect(202);
    }
    for _ in 0..4 {
        gateway.submit_accepted(&job_in_session("s")).await;
    }
}

#[tokio::test]
async fn the_key_of_a_job_that_its_session_or_the_store_refuses_is_marked_and_can_be_used_again() {
    let gateway = Fixture::start().await;
    let head = gateway.submit_accepted(&job_in_session("s")).await;
    let refused = gateway.submit_with_key(&rejected_if_busy(), "busy").await;
    refused.expect_problem(409, "session_busy");
    gateway.store.plan(StoreCall::Commit, [Fault::Full]);
    let refused = gateway.submit_with_key(&job_in_session("s"), "full").await;
    refused.expect_problem(503, "store_full");
    gateway.store.plan(StoreCall::Commit, [Fault::TooLarge]);
    let refused = gateway.submit_with_key(&job_in_session("s"), "large").await;
    refused.expect_problem(413, "body_too_large");
    for key in ["busy", "full", "large"] {
        let entry = entry_of(&gateway, key).await.expect("the key is set");
        assert!(entry.refused, "{key}: {entry:?}");
    }
    // Another body for the same key is still noticed.
    let other = gateway.submit_with_key(&job_in_session("x"), "busy").await;
    other.expect_problem(422, "idempotency_key_reused");

    gateway.complete(&lane_of("s"), head, "Done.").await;
    let accepted = gateway.submit_with_key(&rejected_if_busy(), "busy").await;
    // The job is new: the earlier request made none.
    assert_eq!(accepted.header("idempotency-replayed"), None);
    let id = id_of(&accepted.expect(202));
    let entry = entry_of(&gateway, "busy").await.expect("the key is set");
    assert_eq!((entry.job, entry.refused), (id, false));
    let again = gateway.submit_with_key(&rejected_if_busy(), "busy").await;
    assert_eq!(id_of(&again.expect(202)), id);
    assert_eq!(gateway.live_jobs().await, 1);
}

#[tokio::test]
async fn a_late_release_does_not_shorten_the_key_of_a_job_that_another_request_admitted() {
    let gateway = Fixture::start().await;
    let head = gateway.submit_accepted(&job_in_session("s")).await;
    // The first request is refused, and stops before it releases its key.
    let (release, released) = oneshot::channel::<()>();
    let wait = async {
        // The sender is never dropped before it sends.
        let _ = released.await;
    };
    let faults = [Fault::After(Box::pin(wait))];
    gateway.store.plan(StoreCall::SwapIdempotencyKey, faults);
    let job = rejected_if_busy();
    let refused = tokio::spawn(gateway.submit_with_key_later(&job, "k"));
    let swaps = StoreCall::SwapIdempotencyKey;
    gateway.store.wait_for_calls(swaps, 1).await;

    gateway.complete(&lane_of("s"), head, "Done.").await;
    let accepted = gateway.submit_with_key(&job, "k").await;
    assert_eq!(accepted.header("idempotency-replayed"), Some("true"));
    let id = id_of(&accepted.expect(202));
    release.send(()).expect("the first request waits");
    let refused = refused.await.expect("the request does not panic");
    refused.expect_problem(409, "session_busy");
    let entry = entry_of(&gateway, "k").await.expect("the key is set");
    assert_eq!((entry.job, entry.refused), (id, false));
}

#[tokio::test]
async fn concurrent_submits_with_one_key_make_one_job_while_the_session_is_busy_at_times() {
    const ROUNDS: usize = 10;
    const SUBMITS: usize = 12;
    let gateway = Fixture::start().await;
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        let head = gateway.submit_accepted(&job_in_session("s")).await;
        let mut submits = JoinSet::new();
        for _ in 0..SUBMITS {
            submits.spawn(gateway.submit_with_key_later(&rejected_if_busy(), &key));
        }
        gateway.complete(&lane_of("s"), head, "Done.").await;
        let mut ids = BTreeSet::new();
        for response in submits.join_all().await {
            match response.status.as_u16() {
                202 => drop(ids.insert(id_of(&response.body))),
                _ => drop(response.expect_problem(409, "session_busy")),
            }
        }
        let last = gateway.submit_with_key(&rejected_if_busy(), &key).await;
        ids.insert(id_of(&last.expect(202)));
        assert_eq!(ids.len(), 1, "round {round}");
        assert_eq!(gateway.live_jobs().await, 1, "round {round}");
        let entry = entry_of(&gateway, &key).await.expect("the key is set");
        assert!(!entry.refused, "round {round}: {entry:?}");
        gateway.complete_all("s").await;
    }
}

#[tokio::test]
async fn the_key_of_an_interrupt_without_memory_is_marked() {
    let gateway = Fixture::start().await;
    let large = json!({"input": "x".repeat(100_000), "session_id": "s"});
    gateway.submit_accepted(&large).await;
    let reads = &gateway.member.memory.reads;
    let others = reads.try_reserve(u64::MAX).expect("the memory is free");
    let interrupt = json!({"input": "Stop.", "session_id": "s", "if_busy": "interrupt"});
    let refused = gateway.submit_with_key(&interrupt, "k").await;
    refused.expect_problem(503, "overloaded");
    let entry = entry_of(&gateway, "k").await.expect("the key is set");
    assert!(entry.refused, "{entry:?}");
    drop(others);
    gateway.submit_with_key(&interrupt, "k").await.expect(202);
}
