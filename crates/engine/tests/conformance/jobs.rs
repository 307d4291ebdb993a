//! Records of jobs, from admission until they expire.

use forebay_shared::{
    ids::{JobId, TenantId},
    job::Status,
    lane::{Event, State},
    store::{FoundJob, JobRecord, JobState, LiveJob},
};

use crate::{
    harness::{Harness, wait_until, wait_until_passed},
    test_lane::{LONG_MS, TestLane, request, worker},
};

async fn record(lane: &TestLane, job: JobId) -> Option<JobRecord> {
    lane.store.job(&lane.tenant, job).await.unwrap()
}

pub(crate) async fn a_record_shows_each_state_of_its_job(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let (first, second) = (lane.admit().await, lane.admit().await);

    let found = record(&lane, second).await.unwrap();
    assert_eq!(found.meta.id, second);
    assert_eq!(found.meta.session, lane.session);
    let JobState::Live(LiveJob {
        entry, ahead: 1, ..
    }) = found.state
    else {
        panic!("the job should be live: {found:?}");
    };
    assert_eq!(entry.job, second);
    assert_eq!(entry.state, State::Queued { not_before: None });
    assert_eq!(
        lane.store.request(second).await.unwrap(),
        Some(request(second))
    );

    let fence = lane.claim(first, "worker-1").await;
    let JobState::Live(LiveJob {
        entry, ahead: 0, ..
    }) = record(&lane, first).await.unwrap().state
    else {
        panic!("the job should be live");
    };
    let State::Running { worker: owner, .. } = entry.state else {
        panic!("the job should be running: {entry:?}");
    };
    assert_eq!(owner, worker("worker-1"));

    lane.finish(first, fence, &[]).await;
    let JobState::Ended(outcome) = record(&lane, first).await.unwrap().state else {
        panic!("the job should have ended");
    };
    assert_eq!(outcome.status, Status::Completed);
    assert_eq!((outcome.fence, outcome.settled_fence), (fence, fence));
    assert_eq!(outcome.attempts.len(), 1);
    assert!(outcome.reply.is_some());
    assert_eq!(
        lane.store.request(first).await.unwrap(),
        Some(request(first))
    );
}

pub(crate) async fn a_record_is_visible_to_its_tenant_only(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let job = lane.admit().await;
    let other = TenantId::parse("other").unwrap();
    assert!(lane.store.job(&other, job).await.unwrap().is_none());
    assert!(record(&lane, lane.new_job_id()).await.is_none());
    assert!(
        lane.store
            .request(lane.new_job_id())
            .await
            .unwrap()
            .is_none()
    );
    assert!(record(&lane, job).await.is_some());
}

pub(crate) async fn a_large_outcome_is_not_read(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let job = lane.complete(&["a", "b"]).await;
    let found = lane.store.find_job(&lane.tenant, job, 1).await.unwrap();
    let Some(FoundJob::LargeOutcome { bytes, status }) = found else {
        panic!("the outcome should be large: {found:?}");
    };
    assert_eq!(status, Status::Completed);
    let found = lane.store.find_job(&lane.tenant, job, bytes).await.unwrap();
    assert!(matches!(found, Some(FoundJob::Record(_))), "{found:?}");
}

pub(crate) async fn a_record_expires(engine: impl Harness) {
    let store = engine.store();
    let mut lane = TestLane::without_session(&store);
    lane.keep_ms = 50;
    let job = lane.complete(&[]).await;
    wait_until(async || record(&lane, job).await.is_none()).await;
    assert!(store.request(job).await.unwrap().is_none());
    assert_eq!(lane.load(&[job]).await.outcome(job), None);
    while store.delete_expired(100).await.unwrap() > 0 {}
    assert!(record(&lane, job).await.is_none());
    // The job can be admitted like a new job.
    lane.keep_ms = LONG_MS;
    assert_eq!(lane.complete(&[]).await, job);
    assert!(record(&lane, job).await.is_some());
}

pub(crate) async fn a_record_is_kept_at_least_until_keep_until(engine: impl Harness) {
    let store = engine.store();
    let mut lane = TestLane::without_session(&store);
    lane.keep_ms = 10;
    lane.keep_until = Some(store.now().plus_ms(LONG_MS));
    let job = lane.complete(&[]).await;
    wait_until_passed(store.as_ref(), store.now().plus_ms(lane.keep_ms)).await;
    store.delete_expired(100).await.unwrap();
    assert!(record(&lane, job).await.is_some());
}

pub(crate) async fn a_repaired_job_is_live_again(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let job = lane.complete(&[]).await;
    let mut repair = lane.admission(job);
    repair.is_repair = true;
    lane.apply(&Event::Admit(repair)).await;
    let JobState::Live(LiveJob { entry, .. }) = record(&lane, job).await.unwrap().state else {
        panic!("the job should be live");
    };
    assert!(entry.fence > entry.settled_fence);
    assert_eq!(lane.load(&[job]).await.outcome(job), None);
    let fence = lane.claim(job, "worker-2").await;
    lane.finish(job, fence, &[]).await;
    let summary = lane.load(&[job]).await.outcome(job).unwrap();
    assert_eq!((summary.fence, summary.settled_fence), (fence, fence));
}

pub(crate) async fn outcomes_are_loaded_for_ended_jobs_only(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let (cancelled, live, unknown) = (lane.admit().await, lane.admit().await, lane.new_job_id());
    lane.apply(&Event::Cancel { job: cancelled }).await;
    let loaded = lane.load(&[cancelled, live, unknown]).await;
    assert_eq!(loaded.outcomes.len(), 1);
    let summary = loaded.outcome(cancelled).unwrap();
    assert_eq!(summary.status, Status::Cancelled);
    assert_eq!(summary.settled_fence, 0);
}
