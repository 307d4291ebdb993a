//! A server that is killed, frozen or cut off.

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
    connect,
    drive::{Driver, worker},
    server,
};

/// Longer than the store takes to come back.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until_it_answers(store: &dyn Store) {
    let answers = async {
        while store.announce(&worker("w"), 3_000).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, answers)
        .await
        .expect("it does not come back");
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_afterwards() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut submitters = JoinSet::new();
    for n in 0..8 {
        let lane = Driver::session(&store, &format!("s{n}"));
        let acknowledged = Arc::clone(&acknowledged);
        submitters.spawn(async move {
            let mut kept = Vec::new();
            let mut loaded = LoadedLane::default();
            // Until the server is gone; a full lane ends it too, but the kill comes long before.
            while let Ok((commit, _)) = lane.commit(
                &loaded,
                &Event::Admit(lane.admission(lane.job())),
                Vec::new(),
            ) {
                match lane.store.commit(&commit).await {
                    Ok(CommitResult::Done) => kept.push(commit.admitted[0].meta.id),
                    Ok(CommitResult::Conflict(_)) => panic!("nobody else writes"),
                    Err(error) => {
                        assert!(error.is_transient(), "{error:?}");
                        break;
                    }
                }
                acknowledged.fetch_add(1, Ordering::Relaxed);
                loaded.version = Some(commit.version);
                loaded.lane = commit.next;
            }
            kept
        });
    }
    while acknowledged.load(Ordering::Relaxed) < 100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.kill9().await.unwrap();
    let kept: Vec<_> = submitters.join_all().await.into_iter().flatten().collect();
    server.restart().await.unwrap();
    until_it_answers(store.as_ref()).await;
    for job in &kept {
        let record = store.job(&Default::default(), *job).await.unwrap().unwrap();
        assert!(matches!(record.state, JobState::Live(_)));
    }
    let live = usize::try_from(store.counts().await.unwrap().live()).unwrap();
    // One on its way for each submitter may have been written without its answer.
    assert!(
        (kept.len()..=kept.len() + 8).contains(&live),
        "{live} of {}",
        kept.len()
    );
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_recognised_by_its_token() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    // So that the server knows the script, and runs it at the first asking.
    Driver::session(&store, "warm").admit().await;
    let lane = Driver::session(&store, "s");
    let event = Event::Admit(lane.admission(lane.job()));
    let (commit, _) = lane
        .commit(&LoadedLane::default(), &event, Vec::new())
        .unwrap();
    // Frozen: it gets the command, and runs it when nobody waits for the answer any more.
    server.pause().unwrap();
    let begun = Instant::now();
    let lost = store.commit(&commit).await.unwrap_err();
    assert!(lost.is_transient(), "{lost:?}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    server.resume().unwrap();
    until_it_answers(store.as_ref()).await;
    match store.commit(&commit).await.unwrap() {
        CommitResult::Conflict(found) => assert_eq!(found.version, Some(commit.version)),
        CommitResult::Done => panic!("the frozen server forgot what it had been sent"),
    }
    assert_eq!(store.counts().await.unwrap().live(), 2);
}

#[tokio::test]
async fn calls_fail_at_once_while_the_server_is_away_and_work_again_afterwards() {
    let server = server(RedisOptions::default()).await;
    let mut proxy = Proxy::start(server.port()).await.unwrap();
    let store = connect(proxy.url_via(&server.url()).unwrap()).await;
    let lane = Driver::session(&store, "s");
    let job = lane.admit().await;
    proxy.cut().await;
    // The first ones find the connections broken.
    for _ in 0..4 {
        let away = store.load(&lane.key(), &[], None).await.unwrap_err();
        assert!(away.is_transient(), "{away:?}");
    }
    // If each call waited for the response timeout of 2 s, they would take 60 s.
    let begun = Instant::now();
    for _ in 0..30 {
        assert!(store.load(&lane.key(), &[], None).await.is_err());
    }
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    proxy.heal().await.unwrap();
    until_it_answers(store.as_ref()).await;
    lane.claim(job, "worker-1").await;

    // A network that loses everything says nothing, so it takes the time limit to notice.
    proxy.stall().await.unwrap();
    let begun = Instant::now();
    assert!(store.load(&lane.key(), &[], None).await.is_err());
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    proxy.heal().await.unwrap();
    until_it_answers(store.as_ref()).await;
    assert_eq!(lane.load(&[]).await.lane.entries.len(), 1);
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let server = server(RedisOptions::default()).await;
    server.kill9().await.unwrap();
    let store = connect(server.url()).await;
    let away = store.counts().await.unwrap_err();
    assert!(away.is_transient(), "{away:?}");
    server.restart().await.unwrap();
    until_it_answers(store.as_ref()).await;
    Driver::session(&store, "s").complete(&["said"]).await;
}
