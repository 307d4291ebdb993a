//! A server that is killed or frozen, and a network that is cut or stalled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use forebay_shared::{
    lane::Event,
    store::{CommitResult, JobState, LoadedLane, Store},
};
use servers::{proxy::Proxy, redis::RedisOptions};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    connect, server,
    test_lane::{TestLane, worker},
};

/// Longer than the store takes to connect again.
const TIMEOUT: Duration = Duration::from_secs(60);

async fn wait_until_available(store: &dyn Store) {
    let available = async {
        while store.renew_presence(&worker("w"), 3_000).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, available)
        .await
        .expect("the store is still unavailable at the timeout");
}

#[tokio::test]
async fn a_confirmed_commit_survives_a_kill() {
    const SUBMITTERS: usize = 8;
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let confirmed = Arc::new(AtomicU64::new(0));
    let mut submitters = JoinSet::new();
    for number in 0..SUBMITTERS {
        let lane = TestLane::session(&store, &format!("session-{number}"));
        let confirmed = Arc::clone(&confirmed);
        submitters.spawn(async move {
            let mut jobs = Vec::new();
            let mut loaded = LoadedLane::default();
            // The loop ends when the server is killed, long before the lane is full.
            while let Ok((commit, _)) = lane.build_commit(
                &loaded,
                &Event::Admit(lane.admission(lane.new_job_id())),
                Vec::new(),
            ) {
                match lane.store.commit(&commit).await {
                    Ok(CommitResult::Done(_)) => jobs.push(commit.admitted[0].meta.id),
                    Ok(CommitResult::Conflict(_)) => panic!("only this task writes the lane"),
                    Err(error) => {
                        assert!(error.is_transient(), "unexpected error: {error:?}");
                        break;
                    }
                }
                confirmed.fetch_add(1, Ordering::Relaxed);
                loaded.version = Some(commit.version);
                loaded.lane = commit.next;
            }
            jobs
        });
    }
    while confirmed.load(Ordering::Relaxed) < 100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.kill9().await.unwrap();
    let jobs: Vec<_> = submitters.join_all().await.into_iter().flatten().collect();
    server.restart().await.unwrap();
    wait_until_available(store.as_ref()).await;
    for job in &jobs {
        let record = store.job(&Default::default(), *job).await.unwrap().unwrap();
        assert!(matches!(record.state, JobState::Live(_)));
    }
    let live = usize::try_from(store.counts().await.unwrap().live()).unwrap();
    // Each submitter may have made one more commit whose response was lost.
    assert!(
        (jobs.len()..=jobs.len() + SUBMITTERS).contains(&live),
        "{live} jobs are live, and {} commits were confirmed",
        jobs.len()
    );
}

#[tokio::test]
async fn a_commit_whose_response_was_lost_is_recognised_by_its_version() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    // This commit loads the script into the server. Without the script, the later EVALSHA would not write anything.
    TestLane::session(&store, "earlier").admit().await;
    let lane = TestLane::session(&store, "s");
    let event = Event::Admit(lane.admission(lane.new_job_id()));
    let (commit, _) = lane
        .build_commit(&LoadedLane::default(), &event, Vec::new())
        .unwrap();
    // The frozen server gets the command, and runs it when the server resumes.
    server.pause().unwrap();
    let begun = Instant::now();
    let lost = store.commit(&commit).await.unwrap_err();
    assert!(lost.is_transient(), "unexpected error: {lost:?}");
    assert!(
        begun.elapsed() < TIMEOUT,
        "the call took {:?}",
        begun.elapsed()
    );
    server.resume().unwrap();
    wait_until_available(store.as_ref()).await;
    match store.commit(&commit).await.unwrap() {
        CommitResult::Conflict(found) => assert_eq!(found.version, Some(commit.version)),
        CommitResult::Done(_) => panic!("the frozen server did not run the command"),
    }
    assert_eq!(store.counts().await.unwrap().live(), 2);
}

#[tokio::test]
async fn calls_fail_fast_during_an_outage_and_work_again_afterwards() {
    let server = server(RedisOptions::default()).await;
    let mut proxy = Proxy::start(server.port()).await.unwrap();
    let store = connect(proxy.url_via(&server.url()).unwrap()).await;
    let lane = TestLane::session(&store, "s");
    let job = lane.admit().await;
    proxy.cut().await;
    // The first calls find the connections broken.
    for _ in 0..4 {
        let error = store.load(&lane.key(), &[], None).await.unwrap_err();
        assert!(error.is_transient(), "unexpected error: {error:?}");
    }
    // If each call waited for the response timeout of 1.5 s, the 30 calls would take 45 s.
    let begun = Instant::now();
    for _ in 0..30 {
        assert!(store.load(&lane.key(), &[], None).await.is_err());
    }
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "the calls took {:?}",
        begun.elapsed()
    );
    proxy.heal().await.unwrap();
    wait_until_available(store.as_ref()).await;
    lane.claim(job, "worker-1").await;

    // Only the timeout detects a network that drops all packets.
    proxy.stall().await.unwrap();
    let begun = Instant::now();
    assert!(store.load(&lane.key(), &[], None).await.is_err());
    assert!(
        begun.elapsed() < TIMEOUT,
        "the call took {:?}",
        begun.elapsed()
    );
    proxy.heal().await.unwrap();
    wait_until_available(store.as_ref()).await;
    assert_eq!(lane.load(&[]).await.lane.entries.len(), 1);
}

#[tokio::test]
async fn a_store_connects_to_a_server_that_starts_later() {
    let server = server(RedisOptions::default()).await;
    server.kill9().await.unwrap();
    let store = connect(server.url()).await;
    let error = store.counts().await.unwrap_err();
    assert!(error.is_transient(), "unexpected error: {error:?}");
    server.restart().await.unwrap();
    wait_until_available(store.as_ref()).await;
    TestLane::session(&store, "s").complete(&["a turn"]).await;
}
