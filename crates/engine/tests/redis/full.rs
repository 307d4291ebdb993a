//! A server whose memory is full: new jobs are refused, and accepted jobs can finish.

use forebay_shared::{
    lane::Event,
    store::{LoadedLane, Store, StoreError},
};
use servers::redis::{Redis, RedisOptions};

use crate::{
    connect, info, server,
    test_lane::{TestLane, turns, worker},
};

/// Sets `maxmemory` so that the used memory is this percentage of `maxmemory`.
async fn set_used_percent(server: &Redis, used_percent: u64) {
    let used: u64 = info(server, "memory", "used_memory:")
        .await
        .parse()
        .unwrap();
    let maxmemory = (used * 100 / used_percent).to_string();
    server
        .cli(&["CONFIG", "SET", "maxmemory", &maxmemory])
        .await
        .unwrap();
}

async fn try_to_admit(lane: &TestLane) -> Result<(), StoreError> {
    let event = Event::Admit(lane.admission(lane.new_job_id()));
    let (commit, _) = lane
        .build_commit(&LoadedLane::default(), &event, Vec::new())
        .unwrap();
    lane.store.commit(&commit).await.map(drop)
}

#[tokio::test]
async fn accepted_jobs_can_finish_and_new_jobs_are_refused() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = TestLane::session(&store, "s");
    let (first, second) = (lane.admit().await, lane.admit().await);
    let fence = lane.claim(first, "worker-1").await;
    set_used_percent(&server, 200).await;

    // Redis itself refuses the commit, because the store has not read the memory use of Redis yet.
    let other = TestLane::session(&store, "t");
    let error = try_to_admit(&other).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Full),
        "unexpected result: {error:?}"
    );
    assert!(!error.is_transient());
    assert!(
        other.read_session(60_000).await.is_none(),
        "the refused commit created its session"
    );

    lane.finish(first, fence, &["a reply"]).await;
    let fence = lane.claim(second, "worker-1").await;
    let finish = TestLane::finish_event(second, fence, None);
    lane.try_apply(&finish, turns(&["another"])).await.unwrap();
    assert_eq!(lane.read_session(60_000).await.unwrap().turns.len(), 2);
    store
        .renew_presence(&worker("worker-1"), 3_000)
        .await
        .unwrap();
    assert!(
        store
            .elect_sweeper(&worker("worker-1"), 3_000)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn the_store_refuses_new_jobs_when_redis_uses_80_percent_of_its_memory_or_more() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = TestLane::session(&store, "s");
    let renew_presence = async |store: &dyn Store| {
        store
            .renew_presence(&worker("gateway-1"), 3_000)
            .await
            .unwrap();
    };
    renew_presence(store.as_ref()).await;
    lane.admit().await;
    // Redis would still have memory for the job.
    set_used_percent(&server, 90).await;
    renew_presence(store.as_ref()).await;
    let result = try_to_admit(&TestLane::session(&store, "t")).await;
    assert!(
        matches!(result, Err(StoreError::Full)),
        "unexpected result: {result:?}"
    );
    set_used_percent(&server, 20).await;
    renew_presence(store.as_ref()).await;
    try_to_admit(&TestLane::session(&store, "t")).await.unwrap();
}
