//! Timers that lie in few partitions.

use servers::redis::RedisOptions;

use crate::{
    connect,
    drive::{Driver, LONG_MS},
    server,
};

#[tokio::test]
async fn the_earliest_are_found_wherever_they_lie() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    // All of a session's timers lie in one partition, which so holds most of what is due.
    let (many, few) = (
        Driver::session(&store, "many"),
        Driver::session(&store, "few"),
    );
    for n in 0..80 {
        many.admit().await;
        if n % 20 == 0 {
            few.admit().await;
        }
    }
    let far = store.now().plus_ms(9 * LONG_MS);
    let all = store.due_timers(far, 1_000).await.unwrap();
    assert_eq!(all.len(), 84);
    assert!(all.is_sorted_by_key(|timer| timer.at));
    for limit in [1, 9, 50, 83, 84, 85] {
        let found = store.due_timers(far, limit).await.unwrap();
        assert_eq!(found, all[..limit.min(84)], "limit {limit}");
    }
}
