//! The list of jobs in Redis, which deletes expired records itself.

use forebay_shared::{
    ids::TenantId,
    store::{ListQuery, SessionListQuery, Store},
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

#[tokio::test]
async fn entries_of_deleted_sessions_leave_the_list() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let tenant = TenantId::default();
    for number in 0..4 {
        let lane = TestLane::session(&store, &format!("s{number}"));
        lane.complete(&[]).await;
        if number > 0 {
            let session = lane.session.as_ref().unwrap();
            store.remove_session(&tenant, session).await.unwrap();
        }
    }
    let entries = async || {
        let keys = server.cli(&["KEYS", "fb:*:sl"]).await.unwrap();
        keys.lines().filter(|key| !key.is_empty()).count()
    };
    assert_eq!(entries().await, 4, "each session is in another partition");
    // Each call checks the entries of one of 256 partitions.
    for _ in 0..256 {
        store.delete_expired(10).await.unwrap();
    }
    assert_eq!(entries().await, 1);
    let query = SessionListQuery {
        tenant,
        is_oldest_first: true,
        after: None,
        limit: 10,
    };
    let listed = store.list_sessions(&query).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].info.is_some());
}

/// An older release creates sessions without an entry in the list.
#[tokio::test]
async fn a_session_of_an_older_release_is_listed_after_its_next_job() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = TestLane::session(&store, "s");
    lane.complete(&["a"]).await;
    let key = server.cli(&["KEYS", "fb:*:sl"]).await.unwrap();
    server.cli(&["DEL", key.trim()]).await.unwrap();
    let query = SessionListQuery {
        tenant: TenantId::default(),
        is_oldest_first: true,
        after: None,
        limit: 10,
    };
    assert_eq!(store.list_sessions(&query).await.unwrap(), []);
    lane.complete(&["b"]).await;
    let listed = store.list_sessions(&query).await.unwrap();
    let info = listed[0].info.as_ref().expect("the session exists");
    assert_eq!(info.turn_count, 2);
    assert_eq!(info.created_at, listed[0].position.created_at);
}
