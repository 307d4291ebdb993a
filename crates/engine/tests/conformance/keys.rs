//! Idempotency keys.

use forebay_shared::{
    document::{DocumentVersion, UnknownFields},
    ids::TenantId,
    store::{IdempotencyEntry, SetKeyResult, Store},
};

use crate::{
    harness::{Harness, wait_until},
    test_lane::{LONG_MS, TestLane},
};

/// An entry for a new job.
fn new_entry(lane: &TestLane) -> IdempotencyEntry {
    IdempotencyEntry {
        v: DocumentVersion::FIRST,
        job: TestLane::without_session(&lane.store).new_job_id(),
        body_sha256: "0f".repeat(32),
        created_at: lane.store.now(),
        refused: false,
        revision: 0,
        unknown: UnknownFields::NONE,
    }
}

pub(crate) async fn are_set_once(engine: impl Harness) {
    let lane = TestLane::without_session(&engine.store());
    let store = &lane.store;
    let tenant = TenantId::default();
    let (first, second) = (new_entry(&lane), new_entry(&lane));
    let set = store
        .set_idempotency_key(&tenant, "k", &first, LONG_MS)
        .await;
    assert_eq!(set.unwrap(), SetKeyResult::Set);
    let found = store
        .set_idempotency_key(&tenant, "k", &second, LONG_MS)
        .await;
    assert_eq!(found.unwrap(), SetKeyResult::AlreadySet(first));
    // Each tenant has its own keys, and keys may contain any characters.
    for (tenant, key) in [
        ("other", "k"),
        ("default", "a key, with 'outcomes' and \u{1f511}"),
    ] {
        let tenant = TenantId::parse(tenant).unwrap();
        let set = store
            .set_idempotency_key(&tenant, key, &second, LONG_MS)
            .await;
        assert_eq!(set.unwrap(), SetKeyResult::Set);
    }
}

pub(crate) async fn are_set_once_by_concurrent_requests(engine: impl Harness) {
    let lane = TestLane::without_session(&engine.store());
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (entry, store) = (new_entry(&lane), lane.store.clone());
        requests.spawn(async move {
            let tenant = TenantId::default();
            let result = store
                .set_idempotency_key(&tenant, "k", &entry, LONG_MS)
                .await;
            match result.unwrap() {
                SetKeyResult::Set => (true, entry),
                SetKeyResult::AlreadySet(entry) => (false, entry),
            }
        });
    }
    let results = requests.join_all().await;
    let times_set = results.iter().filter(|(was_set, _)| *was_set).count();
    assert_eq!(times_set, 1);
    let (_, stored_entry) = &results[0];
    assert!(results.iter().all(|(_, entry)| entry == stored_entry));
}

pub(crate) async fn can_be_set_again_after_they_expired(engine: impl Harness) {
    let lane = TestLane::without_session(&engine.store());
    let store: &dyn Store = lane.store.as_ref();
    let tenant = TenantId::default();
    for round in 0..2 {
        let set = store
            .set_idempotency_key(&tenant, "k", &new_entry(&lane), 40)
            .await;
        assert_eq!(set.unwrap(), SetKeyResult::Set, "round {round}");
        wait_until(async || store.idempotency_key(&tenant, "k").await.unwrap().is_none()).await;
    }
    while store.delete_expired(100).await.unwrap() > 0 {}
    let set = store
        .set_idempotency_key(&tenant, "k", &new_entry(&lane), LONG_MS)
        .await;
    assert_eq!(set.unwrap(), SetKeyResult::Set);
}

pub(crate) async fn are_read_without_a_write(engine: impl Harness) {
    let lane = TestLane::without_session(&engine.store());
    let (store, tenant) = (&lane.store, TenantId::default());
    assert_eq!(store.idempotency_key(&tenant, "k").await.unwrap(), None);
    let entry = new_entry(&lane);
    let set = store
        .set_idempotency_key(&tenant, "k", &entry, LONG_MS)
        .await;
    assert_eq!(set.unwrap(), SetKeyResult::Set);
    let found = store.idempotency_key(&tenant, "k").await;
    assert_eq!(found.unwrap(), Some(entry));
    let other = TenantId::parse("other").unwrap();
    assert_eq!(store.idempotency_key(&other, "k").await.unwrap(), None);
}

pub(crate) async fn are_replaced_only_if_they_have_the_expected_entry(engine: impl Harness) {
    let lane = TestLane::without_session(&engine.store());
    let (store, tenant) = (&lane.store, TenantId::default());
    let first = new_entry(&lane);
    let (refused, accepted) = (true, false);
    let second = first.revised(refused);
    let third = second.revised(accepted);
    let swap = async |expected, next, ttl_ms| {
        let swap = store.swap_idempotency_key(&tenant, "k", expected, next, ttl_ms);
        swap.await.unwrap()
    };
    assert!(!swap(&first, &second, LONG_MS).await, "there is no key");
    let set = store
        .set_idempotency_key(&tenant, "k", &first, LONG_MS)
        .await;
    assert_eq!(set.unwrap(), SetKeyResult::Set);
    assert!(!swap(&second, &third, LONG_MS).await);
    assert!(swap(&first, &second, LONG_MS).await);
    assert!(swap(&first, &second, LONG_MS).await, "a repeat succeeds");
    let found = store.idempotency_key(&tenant, "k").await;
    assert_eq!(found.unwrap(), Some(second.clone()));
    // The last swap sets the time to live.
    assert!(swap(&second, &third, 40).await);
    wait_until(async || store.idempotency_key(&tenant, "k").await.unwrap().is_none()).await;
    assert!(!swap(&third, &first, LONG_MS).await, "the key has expired");
}
