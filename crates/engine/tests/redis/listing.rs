//! The list of jobs in Redis, which deletes expired records itself.

use forebay_shared::{
    ids::TenantId,
    store::{ListQuery, Store},
    time::TimeMs,
};
use servers::redis::RedisOptions;

use crate::{connect, server, test_lane::TestLane};

async fn listed(store: &dyn Store) -> usize {
    let query = ListQuery {
        tenant: TenantId::default(),
        session: None,
        created: TimeMs(0)..=TimeMs(99_999_999_999_999),
        is_oldest_first: false,
        after: None,
        limit: 10,
    };
    store.list_jobs(&query).await.unwrap().len()
}

#[tokio::test]
async fn entries_of_expired_records_leave_the_list() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let kept = TestLane::without_session(&store).complete(&[]).await;
    for _ in 0..3 {
        let mut lane = TestLane::without_session(&store);
        lane.keep_ms = 1;
        lane.complete(&[]).await;
    }
    while server
        .cli(&["KEYS", "fb:*:j:*"])
        .await
        .unwrap()
        .lines()
        .count()
        > 1
    {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // Each call checks the entries of one of 256 partitions.
    for _ in 0..256 {
        store.delete_expired(10).await.unwrap();
    }
    assert_eq!(listed(&*store).await, 1);
    let record = store.job(&TenantId::default(), kept).await.unwrap();
    assert!(record.is_some());
}
