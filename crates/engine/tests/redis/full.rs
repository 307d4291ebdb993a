//! A server whose memory is used up: nothing new is accepted, what is there can finish.

use forebay_shared::{
    lane::Event,
    store::{LoadedLane, Store, StoreError},
};
use servers::redis::{Redis, RedisOptions};

use crate::{
    connect,
    drive::{Driver, turns, worker},
    info, server,
};

/// Bounds the memory such that what is used is this share of the bound.
async fn bound(server: &Redis, used_percent: u64) {
    let used: u64 = info(server, "memory", "used_memory:")
        .await
        .parse()
        .unwrap();
    let bound = (used * 100 / used_percent).to_string();
    server
        .cli(&["CONFIG", "SET", "maxmemory", &bound])
        .await
        .unwrap();
}

async fn try_to_admit(lane: &Driver) -> Result<(), StoreError> {
    let event = Event::Admit(lane.admission(lane.job()));
    let (commit, _) = lane
        .commit(&LoadedLane::default(), &event, Vec::new())
        .unwrap();
    lane.store.commit(&commit).await.map(drop)
}

#[tokio::test]
async fn what_runs_can_finish_and_nothing_new_is_accepted() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = Driver::session(&store, "s");
    let (first, second) = (lane.admit().await, lane.admit().await);
    let fence = lane.claim(first, "worker-1").await;
    bound(&server, 200).await;

    // Redis itself says so; nobody has looked at its memory.
    let other = Driver::session(&store, "t");
    let refused = try_to_admit(&other).await.unwrap_err();
    assert!(matches!(refused, StoreError::Full), "{refused:?}");
    assert!(!refused.is_transient());
    assert!(other.read(60_000).await.is_none(), "nothing was written");

    lane.finish(first, fence, &["a reply"]).await;
    let fence = lane.claim(second, "worker-1").await;
    let finish = Driver::finishing(second, fence, None);
    lane.try_step(&finish, turns(&["another"])).await.unwrap();
    assert_eq!(lane.read(60_000).await.unwrap().turns.len(), 2);
    store.announce(&worker("worker-1"), 3_000).await.unwrap();
    assert!(
        store
            .elect_sweeper(&worker("worker-1"), 3_000)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn from_four_fifths_on_new_jobs_are_not_even_sent() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = Driver::session(&store, "s");
    let announce = async |store: &dyn Store| {
        store.announce(&worker("gateway-1"), 3_000).await.unwrap();
    };
    announce(store.as_ref()).await;
    lane.admit().await;
    // There would be room for the job.
    bound(&server, 90).await;
    announce(store.as_ref()).await;
    let refused = try_to_admit(&Driver::session(&store, "t")).await;
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    bound(&server, 20).await;
    announce(store.as_ref()).await;
    try_to_admit(&Driver::session(&store, "t")).await.unwrap();
}
