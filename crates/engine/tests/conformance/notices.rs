//! Notices: one after each commit that causes it, none for a refused commit.

use forebay_shared::{
    ids::JobId,
    lane::Event,
    store::{CommitResult, JobState, Notices, Topic},
};
use tokio::time::timeout;

use crate::{
    drive::{Driver, worker},
    harness::{Harness, TIMEOUT},
};

async fn next(notices: &mut Notices) -> Option<JobId> {
    let next = timeout(TIMEOUT, notices.next()).await;
    next.expect("no notice came")
}

pub(crate) async fn announce_that_a_job_ended(engine: impl Harness) {
    let store = engine.store();
    let lane = Driver::session(&store, "s");
    let (first, second) = (lane.admit().await, lane.admit().await);
    let mut watchers = [
        store.watch(Topic::Job(first)).await.unwrap(),
        store.watch(Topic::Job(first)).await.unwrap(),
    ];
    let mut of_second = store.watch(Topic::Job(second)).await.unwrap();
    let fence = lane.claim(first, "worker-1").await;
    lane.finish(first, fence, &[]).await;
    for watcher in &mut watchers {
        assert_eq!(next(watcher).await, Some(first));
    }
    let record = store.job(&lane.tenant, first).await.unwrap().unwrap();
    assert!(matches!(record.state, JobState::Ended(_)));
    drop(watchers);
    lane.step(&Event::Cancel { job: second }).await;
    assert_eq!(next(&mut of_second).await, Some(second));
}

pub(crate) async fn announce_dropped_calls_to_their_worker(engine: impl Harness) {
    let store = engine.store();
    let (lane, other) = (Driver::session(&store, "s"), Driver::session(&store, "t"));
    let mut calls = store.watch(Topic::Calls(worker("worker-1"))).await.unwrap();
    for (lane, owner) in [(&other, "worker-2"), (&lane, "worker-1")] {
        let job = lane.admit().await;
        lane.claim(job, owner).await;
        lane.step(&Event::Cancel { job }).await;
        if owner == "worker-1" {
            // This is the first notice of the stream, so the other worker's call caused none.
            assert_eq!(next(&mut calls).await, Some(job));
        }
    }
}

pub(crate) async fn are_not_sent_for_a_refused_commit(engine: impl Harness) {
    let store = engine.store();
    let lane = Driver::session(&store, "s");
    let job = lane.admit().await;
    let stale = lane.load(&[]).await;
    let second = lane.admit().await;
    let mut notices = store.watch(Topic::Job(job)).await.unwrap();
    let mut of_second = store.watch(Topic::Job(second)).await.unwrap();
    let (commit, _) = lane.commit(&stale, &Event::Cancel { job }, vec![]).unwrap();
    let refused = store.commit(&commit).await.unwrap();
    assert!(matches!(refused, CommitResult::Conflict(_)));
    lane.step(&Event::Cancel { job: second }).await;
    assert_eq!(next(&mut of_second).await, Some(second));
    lane.step(&Event::Cancel { job }).await;
    assert_eq!(next(&mut notices).await, Some(job));
    // The refused commit sent no notice.
    let more = timeout(std::time::Duration::from_millis(20), notices.next()).await;
    assert!(!matches!(more, Ok(Some(_))), "{more:?}");
}
