//! Due timers that are spread unevenly over the partitions.

use servers::redis::RedisOptions;

use crate::{
    connect,
    drive::{Driver, LONG_MS},
    server,
};

#[tokio::test]
async fn the_earliest_are_found_in_any_partition() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    // All timers of a session are in one partition, so one partition holds most of the due timers.
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
