//! The connection that receives all notices of a process.

use std::time::Duration;

use forebay_shared::{
    ids::{JobId, TenantId},
    store::{Notices, Store, Topic},
};
use servers::redis::RedisOptions;
use tokio::{task::JoinSet, time::timeout};

use crate::{connect, info, server, test_lane::TestLane};

/// Longer than any step of a test takes.
const TIMEOUT: Duration = Duration::from_secs(60);

async fn watch(store: &dyn Store, job: JobId) -> Notices {
    let watched = async {
        loop {
            match store.watch(Topic::Job(job)).await {
                Ok(notices) => return notices,
                Err(error) => assert!(error.is_transient(), "unexpected error: {error:?}"),
            }
        }
    };
    timeout(TIMEOUT, watched)
        .await
        .expect("the topic cannot be watched within the timeout")
}

#[tokio::test]
async fn a_lost_connection_ends_the_streams_and_is_replaced() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = TestLane::session(&store, "s");
    let job = lane.admit().await;
    let mut notices = watch(store.as_ref(), job).await;
    server
        .cli(&["CLIENT", "KILL", "TYPE", "pubsub"])
        .await
        .unwrap();
    let next = timeout(TIMEOUT, notices.next())
        .await
        .expect("the stream did not end within the timeout");
    assert_eq!(next, None, "the stream sent a notice instead of ending");

    let mut notices = watch(store.as_ref(), job).await;
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &[]).await;
    let next = timeout(TIMEOUT, notices.next())
        .await
        .expect("no notice came before the timeout");
    assert_eq!(next, Some(job));
}

#[tokio::test]
async fn a_thousand_watchers_share_one_connection_and_unsubscribe_when_they_are_dropped() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let mut watchers = JoinSet::new();
    for _ in 0..1_000 {
        let store = store.clone();
        let job = JobId::fresh(&TenantId::default(), None);
        watchers.spawn(async move { watch(store.as_ref(), job).await });
    }
    let watchers = watchers.join_all().await;
    // A process has two connections for commands and one for notices.
    let clients = server.clients().await.unwrap();
    assert_eq!(clients.len(), 3, "the connections are {clients:?}");
    let channels = async || server.cli(&["PUBSUB", "CHANNELS"]).await.unwrap();
    assert_eq!(channels().await.lines().count(), 1_000);
    drop(watchers);
    let unsubscribed = async {
        while !channels().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(TIMEOUT, unsubscribed)
        .await
        .expect("the topics of dropped watchers are still subscribed");
}

#[tokio::test]
async fn while_only_the_subscription_fails_a_watch_is_refused_at_once_and_other_calls_work() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = TestLane::session(&store, "s");
    let job = lane.admit().await;
    drop(watch(store.as_ref(), job).await);
    for command in [
        ["ACL", "SETUSER", "default", "-subscribe"],
        ["CLIENT", "KILL", "TYPE", "pubsub"],
    ] {
        server.cli(&command).await.unwrap();
    }
    // The first requests may wait for the next connection.
    let mut refused_at_once = 0;
    let refused = async {
        while refused_at_once < 5 {
            let began = tokio::time::Instant::now();
            match store.watch(Topic::Job(job)).await {
                Ok(notices) => drop(notices),
                Err(error) => {
                    assert!(error.is_transient(), "unexpected error: {error:?}");
                    refused_at_once += u32::from(began.elapsed() < Duration::from_millis(500));
                }
            }
        }
    };
    timeout(TIMEOUT, refused)
        .await
        .expect("watches are not refused at once");
    // A server that refuses each subscription is not flooded with connections.
    let connections = async || info(&server, "stats", "total_connections_received").await;
    let before: u32 = connections().await.parse().unwrap();
    let watching = async {
        loop {
            let _ = store.watch(Topic::Job(job)).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let began = tokio::time::Instant::now();
    let _ = timeout(Duration::from_secs(2), watching).await;
    let opened = connections().await.parse::<u32>().unwrap() - before;
    // On a busy machine, more than 2 s may have passed.
    let elapsed = began.elapsed();
    let per_s = f64::from(opened) / elapsed.as_secs_f64();
    assert!(per_s < 10.0, "{opened} connections in {elapsed:?}");
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &[]).await;

    server
        .cli(&["ACL", "SETUSER", "default", "+subscribe"])
        .await
        .unwrap();
    drop(watch(store.as_ref(), job).await);
}
