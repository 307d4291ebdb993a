//! Records of jobs, from admission until they expire.

use forebay_shared::{
    ids::{JobId, TenantId},
    job::Status,
    lane::{Admit, Event, Refused, State},
    store::{CommitResult, FoundJob, JobRecord, JobRemoval, JobState, LiveJob, REMOVED_JOB_MS},
};

use crate::{
    harness::{Harness, wait_until, wait_until_passed},
    test_lane::{LONG_MS, TestLane, request, worker},
};

/// The event that admits an ended job again.
fn repair(lane: &TestLane, job: JobId) -> Event {
    Event::Admit(Admit {
        is_repair: true,
        ..lane.admission(job)
    })
}

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
    let Some(FoundJob::LargeOutcome {
        meta,
        bytes,
        status,
    }) = found
    else {
        panic!("the outcome should be large: {found:?}");
    };
    assert_eq!((meta.id, status), (job, Status::Completed));
    let other = TenantId::parse("other").unwrap();
    let found = lane.store.find_job(&other, job, 1).await.unwrap();
    assert!(found.is_none(), "another tenant sees it: {found:?}");
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
    let mut lane = TestLane::session(&engine.store(), "s");
    let job = lane.complete(&[]).await;
    lane.model = "another-model";
    lane.apply(&repair(&lane, job)).await;
    let repaired = record(&lane, job).await.unwrap();
    assert_eq!(
        repaired.meta.model, "another-model",
        "the metadata is replaced"
    );
    let JobState::Live(LiveJob { entry, .. }) = repaired.state else {
        panic!("the job should be live");
    };
    assert_eq!(lane.store.request(job).await.unwrap(), Some(request(job)));
    assert!(entry.fence > entry.settled_fence);
    assert_eq!(lane.load(&[job]).await.outcome(job), None);
    let fence = lane.claim(job, "worker-2").await;
    lane.finish(job, fence, &[]).await;
    let summary = lane.load(&[job]).await.outcome(job).unwrap();
    assert_eq!((summary.fence, summary.settled_fence), (fence, fence));
}

pub(crate) async fn a_repair_belongs_to_one_outcome(engine: impl Harness) {
    // The lane of a job without a session has no document between two lives of its job. So only the outcome tells them apart.
    let lane = TestLane::without_session(&engine.store());
    let job = lane.complete(&[]).await;
    let before = lane.load(&[job]).await;
    let event = repair(&lane, job);
    let (late, _) = lane.build_commit(&before, &event, Vec::new()).unwrap();
    lane.apply(&event).await;
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &[]).await;
    let CommitResult::Conflict(newer) = lane.store.commit(&late).await.unwrap() else {
        panic!("the repair was committed");
    };
    assert_eq!(newer.version, before.version);
    assert_eq!(newer.outcome(job).unwrap().fence, fence);
    let ended = record(&lane, job).await.unwrap().state;
    assert!(matches!(ended, JobState::Ended(_)), "{ended:?}");
}

pub(crate) async fn a_repaired_record_does_not_expire(engine: impl Harness) {
    let store = engine.store();
    let mut lane = TestLane::without_session(&store);
    lane.keep_ms = 200;
    let job = lane.complete(&[]).await;
    lane.apply(&repair(&lane, job)).await;
    wait_until_passed(store.as_ref(), store.now().plus_ms(300)).await;
    store.delete_expired(100).await.unwrap();
    assert!(record(&lane, job).await.is_some());
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &[]).await;
    wait_until(async || record(&lane, job).await.is_none()).await;
}

pub(crate) async fn a_removed_job_cannot_be_read_and_does_not_come_back(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let job = lane.complete(&["a turn"]).await;
    let before = lane.load(&[job]).await;
    let (repair, _) = lane
        .build_commit(&before, &repair(&lane, job), Vec::new())
        .unwrap();
    let store = &lane.store;
    assert!(!store.is_job_removed(job).await.unwrap());
    let removed = store.remove_job(&lane.tenant, job).await;
    assert_eq!(removed.unwrap(), JobRemoval::Removed);

    assert!(record(&lane, job).await.is_none());
    assert!(store.request(job).await.unwrap().is_none());
    assert_eq!(store.request_bytes(&[job]).await.unwrap(), [0]);
    assert!(store.is_job_removed(job).await.unwrap());
    let again = store.remove_job(&lane.tenant, job).await;
    assert_eq!(again.unwrap(), JobRemoval::NotFound);
    let session = lane.read_session(LONG_MS).await.unwrap();
    assert_eq!(session.turns.len(), 1, "the session keeps its turns");

    // Neither a repeat of the admission nor a repair that was decided before brings the job back.
    let admission = lane.admission(job);
    let admitted = lane.try_apply(&Event::Admit(admission), Vec::new()).await;
    assert_eq!(admitted.unwrap_err(), Refused::Exists);
    let CommitResult::Conflict(newer) = store.commit(&repair).await.unwrap() else {
        panic!("the repair was committed");
    };
    assert!(newer.outcome(job).unwrap().fence > before.outcome(job).unwrap().fence);
    assert!(record(&lane, job).await.is_none());
    assert!(lane.load(&[]).await.lane.entries.is_empty());
}

pub(crate) async fn only_an_ended_job_of_the_tenant_is_removed(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let (live, unknown) = (lane.admit().await, lane.new_job_id());
    let other = TenantId::parse("other").unwrap();
    for (tenant, job, expected) in [
        (&lane.tenant, live, JobRemoval::IsLive),
        (&lane.tenant, unknown, JobRemoval::NotFound),
        (&other, live, JobRemoval::NotFound),
    ] {
        let removed = lane.store.remove_job(tenant, job).await;
        assert_eq!(removed.unwrap(), expected);
    }
    lane.apply(&Event::Cancel { job: live }).await;
    let removed = lane.store.remove_job(&other, live).await;
    assert_eq!(removed.unwrap(), JobRemoval::NotFound);
    assert!(record(&lane, live).await.is_some());
    assert!(!lane.store.is_job_removed(live).await.unwrap());
    assert!(!lane.store.is_job_removed(unknown).await.unwrap());
}

pub(crate) async fn a_removed_job_is_known_as_long_as_its_record_had_to_be_kept(
    engine: impl Harness,
) {
    let store = engine.store();
    let mut lane = TestLane::without_session(&store);
    lane.keep_ms = 1;
    lane.keep_until = Some(store.now().plus_ms(2 * REMOVED_JOB_MS));
    let job = lane.complete(&[]).await;
    let removed = store.remove_job(&lane.tenant, job).await;
    assert_eq!(removed.unwrap(), JobRemoval::Removed);
    wait_until_passed(store.as_ref(), store.now().plus_ms(10)).await;
    store.delete_expired(100).await.unwrap();
    assert!(store.is_job_removed(job).await.unwrap());
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
