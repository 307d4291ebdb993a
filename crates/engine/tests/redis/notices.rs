//! The connection for notices.

use std::time::Duration;

use forebay_shared::{
    ids::{JobId, TenantId},
    store::{Notices, Store, Topic},
};
use servers::redis::RedisOptions;
use tokio::{task::JoinSet, time::timeout};

use crate::{connect, drive::Driver, server};

const PATIENCE: Duration = Duration::from_secs(60);

async fn watch(store: &dyn Store, job: JobId) -> Notices {
    let watched = async {
        loop {
            match store.watch(Topic::Job(job)).await {
                Ok(notices) => return notices,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        }
    };
    timeout(PATIENCE, watched).await.expect("nobody can watch")
}

#[tokio::test]
async fn a_lost_connection_ends_the_streams_and_another_takes_its_place() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = Driver::session(&store, "s");
    let job = lane.admit().await;
    let mut notices = watch(store.as_ref(), job).await;
    server
        .cli(&["CLIENT", "KILL", "TYPE", "pubsub"])
        .await
        .unwrap();
    let next = timeout(PATIENCE, notices.next())
        .await
        .expect("the stream goes on");
    assert_eq!(next, None, "look again, watch again");

    let mut notices = watch(store.as_ref(), job).await;
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &[]).await;
    let next = timeout(PATIENCE, notices.next())
        .await
        .expect("a notice should have come");
    assert_eq!(next, Some(job));
}

#[tokio::test]
async fn a_thousand_watchers_share_one_connection_and_leave_nothing_behind() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let mut watchers = JoinSet::new();
    for _ in 0..1_000 {
        let store = store.clone();
        let job = JobId::fresh(&TenantId::default(), None);
        watchers.spawn(async move { watch(store.as_ref(), job).await });
    }
    let watchers = watchers.join_all().await;
    // Two for commands, one for notices.
    let clients = server.clients().await.unwrap();
    assert_eq!(clients.len(), 3, "{clients:?}");
    let channels = async || server.cli(&["PUBSUB", "CHANNELS"]).await.unwrap();
    assert_eq!(channels().await.lines().count(), 1_000);
    drop(watchers);
    let left = async {
        while !channels().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, left)
        .await
        .expect("topics that nobody watches stay");
}
