//! A restart keeps all commits. It keeps the wakes if the queue's `survives_restart` returns true.

use forebay_shared::{
    class::Class,
    document::{DocumentVersion, UnknownFields},
    ids::TenantId,
    store::{IdempotencyEntry, JobState, SetKeyResult},
};

use crate::{
    harness::Harness,
    queue::{new_wake, wait_for_depth},
    test_lane::{LONG_MS, TestLane, request, texts, worker},
};

pub(crate) async fn keeps_all_commits(mut engine: impl Harness) {
    let store = engine.store();
    let mut lane = TestLane::session(&store, "s");
    let ended = lane.complete(&["kept"]).await;
    let (running, queued) = (lane.admit().await, lane.admit().await);
    let fence = lane.claim(running, "worker-1").await;
    let key = IdempotencyEntry {
        v: DocumentVersion::FIRST,
        job: ended,
        body_sha256: "ab".repeat(32),
        created_at: store.now(),
        refused: false,
        revision: 0,
        unknown: UnknownFields::NONE,
    };
    let tenant = TenantId::default();
    store
        .set_idempotency_key(&tenant, "k", &key, LONG_MS)
        .await
        .unwrap();
    let loaded = lane.load(&[ended]).await;
    let counts = store.counts().await.unwrap();
    let after_all_timers = store.now().plus_ms(9 * LONG_MS);
    let timers = store.due_timers(after_all_timers, 100).await.unwrap();
    drop(store);

    engine.restart().await;
    let store = engine.store();
    lane.store = store.clone();
    let found = lane.load(&[ended]).await;
    assert_eq!(
        (found.lane, found.version, found.outcomes),
        (loaded.lane, loaded.version, loaded.outcomes)
    );
    assert_eq!(store.counts().await.unwrap(), counts);
    assert_eq!(
        store.due_timers(after_all_timers, 100).await.unwrap(),
        timers
    );
    assert_eq!(
        texts(&lane.read_session(LONG_MS).await.unwrap().turns),
        ["kept"]
    );
    assert_eq!(store.request(queued).await.unwrap(), Some(request(queued)));
    let record = store.job(&tenant, ended).await.unwrap().unwrap();
    assert!(matches!(record.state, JobState::Ended(_)));
    let found_key = store
        .set_idempotency_key(&tenant, "k", &key, LONG_MS)
        .await
        .unwrap();
    assert_eq!(found_key, SetKeyResult::AlreadySet(key));
    // The attempt that ran before the restart can still finish.
    lane.finish(running, fence, &["after"]).await;
    lane.claim(queued, "worker-2").await;
}

pub(crate) async fn does_not_turn_the_clock_back(mut engine: impl Harness) {
    let store = engine.store();
    TestLane::session(&store, "s").admit().await;
    store
        .renew_presence(&worker("first"), LONG_MS)
        .await
        .unwrap();
    let before = store.now();
    assert!(store.to_utc(before).0.abs_diff(before.0) < 1_000);
    drop(store);
    engine.restart().await;
    assert!(engine.store().now() >= before);
}

pub(crate) async fn keeps_wakes_if_survives_restart_is_true(mut engine: impl Harness) {
    let queue = engine.queue();
    queue.publish(&new_wake(Class::Batch)).await.unwrap();
    wait_for_depth(queue.as_ref(), Class::Batch, 1).await;
    drop(queue);
    engine.restart().await;
    let queue = engine.queue();
    let kept = u64::from(queue.survives_restart());
    wait_for_depth(queue.as_ref(), Class::Batch, kept).await;
}
