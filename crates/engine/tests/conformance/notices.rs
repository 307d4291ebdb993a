//! Notices: a commit sends one for each job that it ends and for each call that it cancels. A refused commit sends none.

use forebay_shared::{
    ids::JobId,
    lane::Event,
    store::{CommitResult, JobState, Notices, Topic},
};
use tokio::time::timeout;

use crate::{
    harness::{Harness, TIMEOUT},
    test_lane::{TestLane, worker},
};

async fn next(notices: &mut Notices) -> Option<JobId> {
    let next = timeout(TIMEOUT, notices.next()).await;
    next.expect("no notice came before the timeout")
}

pub(crate) async fn report_the_end_of_a_job(engine: impl Harness) {
    let store = engine.store();
    let lane = TestLane::session(&store, "s");
    let (first, second) = (lane.admit().await, lane.admit().await);
    let mut watchers = [
        store.watch(Topic::Job(first)).await.unwrap(),
        store.watch(Topic::Job(first)).await.unwrap(),
    ];
    let mut second_watcher = store.watch(Topic::Job(second)).await.unwrap();
    let fence = lane.claim(first, "worker-1").await;
    lane.finish(first, fence, &[]).await;
    for watcher in &mut watchers {
        assert_eq!(next(watcher).await, Some(first));
    }
    let record = store.job(&lane.tenant, first).await.unwrap().unwrap();
    assert!(matches!(record.state, JobState::Ended(_)));
    drop(watchers);
    lane.apply(&Event::Cancel { job: second }).await;
    assert_eq!(next(&mut second_watcher).await, Some(second));
}

pub(crate) async fn report_a_cancelled_call_to_its_worker(engine: impl Harness) {
    let store = engine.store();
    let (lane, other) = (
        TestLane::session(&store, "s"),
        TestLane::session(&store, "t"),
    );
    let mut calls = store.watch(Topic::Calls(worker("worker-1"))).await.unwrap();
    for (lane, worker_name) in [(&other, "worker-2"), (&lane, "worker-1")] {
        let job = lane.admit().await;
        lane.claim(job, worker_name).await;
        lane.apply(&Event::Cancel { job }).await;
        if worker_name == "worker-1" {
            // This is the first notice of the stream, so the cancelled call of worker-2 sent none to worker-1.
            assert_eq!(next(&mut calls).await, Some(job));
        }
    }
}

pub(crate) async fn are_not_sent_for_a_refused_commit(engine: impl Harness) {
    let store = engine.store();
    let lane = TestLane::session(&store, "s");
    let job = lane.admit().await;
    let stale = lane.load(&[]).await;
    let second = lane.admit().await;
    let mut notices = store.watch(Topic::Job(job)).await.unwrap();
    let mut second_notices = store.watch(Topic::Job(second)).await.unwrap();
    let (commit, _) = lane
        .build_commit(&stale, &Event::Cancel { job }, vec![])
        .unwrap();
    let refused = store.commit(&commit).await.unwrap();
    assert!(matches!(refused, CommitResult::Conflict(_)));
    lane.apply(&Event::Cancel { job: second }).await;
    assert_eq!(next(&mut second_notices).await, Some(second));
    lane.apply(&Event::Cancel { job }).await;
    assert_eq!(next(&mut notices).await, Some(job));
    let further = timeout(std::time::Duration::from_millis(20), notices.next()).await;
    assert!(
        !matches!(further, Ok(Some(_))),
        "the refused commit sent a notice: {further:?}"
    );
}
