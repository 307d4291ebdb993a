//! The search for due timers when most of them are in one partition.

use servers::redis::RedisOptions;

use crate::{
    connect, server,
    test_lane::{LONG_MS, TestLane},
};

#[tokio::test]
async fn the_earliest_timers_of_all_partitions_are_found() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    // All timers of a session are in one partition, so one partition holds most of the due timers.
    let (many, few) = (
        TestLane::session(&store, "many"),
        TestLane::session(&store, "few"),
    );
    for number in 0..80 {
        many.admit().await;
        if number % 20 == 0 {
            few.admit().await;
        }
    }
    let after_all_timers = store.now().plus_ms(9 * LONG_MS);
    let all = store.due_timers(after_all_timers, 1_000).await.unwrap();
    assert_eq!(all.len(), 84);
    assert!(all.is_sorted_by_key(|timer| timer.at));
    for limit in [1, 9, 50, 83, 84, 85] {
        let found = store.due_timers(after_all_timers, limit).await.unwrap();
        assert_eq!(found, all[..limit.min(84)], "limit {limit}");
    }
}
