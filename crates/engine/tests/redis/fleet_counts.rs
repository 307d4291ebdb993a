//! The counts that one process sums for all.

use std::time::Duration;

use forebay_shared::store::Store;
use servers::redis::{Redis, RedisOptions};

use crate::{connect, info, server, test_lane::TestLane};

/// How many scripts the server has run.
async fn scripts_run(server: &Redis) -> u64 {
    let stats = info(server, "commandstats", "cmdstat_evalsha:calls=").await;
    let calls = stats.split(',').next().unwrap_or_default();
    calls.parse().unwrap_or(0)
}

/// A field of the stored counts.
async fn stored(server: &Redis, field: &str) -> String {
    server.cli(&["HGET", STORED, field]).await.unwrap()
}

/// Waits until new counts are stored, whose time is not `earlier_at`.
async fn until_stored(server: &Redis, earlier_at: &str) {
    let changed = async {
        while stored(server, "at").await == earlier_at {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(10);
    tokio::time::timeout(limit, changed).await.unwrap();
}

/// Like [`live`], for a store that must sum the counts. Waits until the new counts are stored.
async fn live_by_sum(server: &Redis, store: &dyn Store) -> u64 {
    let earlier_at = stored(server, "at").await;
    let jobs = live(store).await;
    until_stored(server, &earlier_at).await;
    jobs
}

/// The number of live jobs in the recent counts.
async fn live(store: &dyn Store) -> u64 {
    store.recent_counts().await.unwrap().counts.live()
}

/// The key of the stored counts.
const STORED: &str = "fb:fleet:counts";

/// Sets a stored time to this many milliseconds after now. The store accepts a time that is less than a second ahead.
async fn set_time(server: &Redis, store: &dyn Store, field: &str, after_now_ms: i64) {
    let now = i64::try_from(store.now().0).unwrap();
    let time = (now + after_now_ms).to_string();
    server.cli(&["HSET", STORED, field, &time]).await.unwrap();
}

#[tokio::test]
async fn one_process_sums_the_counts_for_all() {
    let server = server(RedisOptions::default()).await;
    let (first, second) = (connect(server.url()).await, connect(server.url()).await);
    let lane = TestLane::session(&first, "s");
    lane.admit().await;
    assert_eq!(live_by_sum(&server, first.as_ref()).await, 1);
    lane.admit().await;
    let before = scripts_run(&server).await;
    set_time(&server, first.as_ref(), "at", 900).await;
    assert_eq!(live(second.as_ref()).await, 1);
    assert_eq!(scripts_run(&server).await, before + 1);

    // As if the process that began to sum had died.
    set_time(&server, first.as_ref(), "turn", -5_000).await;
    set_time(&server, first.as_ref(), "at", -1_000).await;
    assert_eq!(live(second.as_ref()).await, 2);
}

#[tokio::test]
async fn while_one_process_sums_the_others_get_the_older_counts() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    assert_eq!(live_by_sum(&server, store.as_ref()).await, 0);
    TestLane::session(&store, "s").admit().await;
    set_time(&server, store.as_ref(), "turn", 900).await;
    set_time(&server, store.as_ref(), "at", -1_000).await;
    let recent = store.recent_counts().await.unwrap();
    assert_eq!(recent.counts.live(), 0);
    assert!(recent.age.as_millis() >= 1_000);
    // The sum is late, so another process makes it.
    set_time(&server, store.as_ref(), "turn", -5_000).await;
    assert_eq!(live(store.as_ref()).await, 1);
}

#[tokio::test]
async fn stored_counts_that_are_unreadable_or_of_the_future_are_summed_again() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    TestLane::session(&store, "s").admit().await;
    let far_ahead = store.now().plus_ms(60_000).0.to_string();
    assert_eq!(live_by_sum(&server, store.as_ref()).await, 1);
    let broken = [("counts", "{\"rows\":7}"), ("at", far_ahead.as_str())];
    for (jobs, (field, value)) in (2..).zip(broken) {
        server.cli(&["HSET", STORED, field, value]).await.unwrap();
        TestLane::session(&store, "s").admit().await;
        assert_eq!(live_by_sum(&server, store.as_ref()).await, jobs, "{field}");
    }
}

#[tokio::test]
async fn a_late_sum_does_not_replace_a_newer_one() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    live_by_sum(&server, store.as_ref()).await;
    // This process cannot read the stored counts, so it sums them although they are newer.
    set_time(&server, store.as_ref(), "at", 900).await;
    let newer = ["HSET", STORED, "counts", "{}", "turn", "0"];
    server.cli(&newer).await.unwrap();
    let before = scripts_run(&server).await;
    assert_eq!(live(store.as_ref()).await, 0);
    // One script reads, 256 count, and one stores.
    while scripts_run(&server).await < before + 258 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stored(&server, "counts").await.trim(), "{}");
}
