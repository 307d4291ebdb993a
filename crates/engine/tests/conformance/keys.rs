//! Idempotency keys.

use forebay_shared::{
    document::{DocumentVersion, UnknownFields},
    ids::TenantId,
    store::{IdempotencyEntry, SetKeyResult, Store},
};

use crate::{
    harness::{Harness, wait_until_passed},
    test_lane::{LONG_MS, TestLane},
};

/// An entry for a new job.
fn new_entry(lane: &TestLane) -> IdempotencyEntry {
    IdempotencyEntry {
        v: DocumentVersion::FIRST,
        job: TestLane::without_session(&lane.store).new_job_id(),
        body_sha256: "0f".repeat(32),
        created_at: lane.store.now(),
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
        wait_until_passed(store, store.now().plus_ms(40)).await;
    }
    while store.delete_expired(100).await.unwrap() > 0 {}
    let set = store
        .set_idempotency_key(&tenant, "k", &new_entry(&lane), LONG_MS)
        .await;
    assert_eq!(set.unwrap(), SetKeyResult::Set);
}
