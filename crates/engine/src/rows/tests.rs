//! Tests of the rows of a commit, and commits for the tests of the engines.

use forebay_shared::{
    document::{DocumentVersion, UnknownFields},
    ids::{LaneKey, TenantId},
    job::Outcome,
    lane::{self, LaneCounts},
    store::LaneVersion,
};

use super::*;

/// A commit to the lane of a job without a session. The lane is empty after it, and nothing else changes.
pub(crate) fn empty_commit(job: JobId) -> Commit {
    Commit {
        lane: LaneKey::of(&TenantId::default(), None, job),
        expected: None,
        version: LaneVersion::new_v4(),
        next: Lane::default(),
        timers: Vec::new(),
        admitted: Vec::new(),
        repaired: Vec::new(),
        ended: Vec::new(),
        session: None,
        counts: LaneCounts::default(),
        deferred: DeferredChange::default(),
        dropped_calls: Vec::new(),
        outcomes_of: Vec::new(),
        run_inputs_of: None,
        needs_run_inputs: false,
        at: TimeMs(5),
    }
}

/// A commit that ends a queued batch job.
pub(crate) fn ending_commit(job: JobId) -> Commit {
    let mut commit = empty_commit(job);
    commit.ended = vec![EndedJob {
        job,
        class: Class::Batch,
        outcome: Outcome {
            v: DocumentVersion::FIRST,
            status: Status::Cancelled,
            started_at: None,
            ended_at: TimeMs(5),
            fence: 2,
            settled_fence: 1,
            attempts: Vec::new(),
            reply: None,
            error: None,
            provider: None,
            entry: UnknownFields::NONE,
            unknown: UnknownFields::NONE,
        },
        keep_ms: 10,
    }];
    commit.timers = vec![(job, None)];
    commit.counts.batch.ready = -1;
    commit
}

fn job() -> JobId {
    JobId::fresh(&TenantId::default(), None)
}

#[test]
fn an_empty_commit_only_deletes_the_lane() {
    let rows = CommitRows::of(&empty_commit(job())).unwrap();
    assert!(rows.lane.is_none() && rows.session.is_none());
    assert!(rows.jobs.is_empty() && rows.outcomes.is_empty());
    assert!(rows.timers.is_empty() && rows.counts.is_empty());
    assert!(rows.notices.is_empty());
}

#[test]
fn a_job_that_ends_is_counted_once_and_gets_one_notice_and_no_timer() {
    let job = job();
    let rows = CommitRows::of(&ending_commit(job)).unwrap();
    assert!(rows.timers.is_empty());
    let [outcome] = &rows.outcomes[..] else {
        panic!("there should be one outcome: {rows:?}");
    };
    assert_eq!((outcome.job, outcome.deletable_at), (job, TimeMs(15)));
    let [count] = &rows.counts[..] else {
        panic!("there should be one row of counts: {rows:?}");
    };
    assert_eq!((count.class, count.ended), (Class::Batch, 1));
    assert_eq!(count.live.ready, -1);
    assert_eq!(rows.notices, [(Topic::Job(job), job)]);
}

#[test]
fn a_timer_for_a_job_that_is_not_in_the_lane_is_an_error() {
    let job = job();
    let mut commit = empty_commit(job);
    commit.timers = vec![(job, Some(TimeMs(7)))];
    let error = CommitRows::of(&commit).unwrap_err();
    assert!(matches!(error, StoreError::Broken(_)));
}

#[test]
fn a_job_that_is_live_and_ended_is_an_error() {
    let job = job();
    let mut commit = ending_commit(job);
    let admission = lane::Admit {
        job,
        class: Class::Batch,
        model: None,
        deadline: TimeMs(9),
        is_tool_results: false,
        if_busy: lane::IfBusy::Enqueue,
        is_repair: false,
    };
    let admitted = lane::apply(
        &mut commit.next,
        None,
        &lane::Event::Admit(admission),
        TimeMs(5),
    );
    admitted.expect("the job should be admitted");
    let error = CommitRows::of(&commit).expect_err("the job is both live and ended");
    assert!(matches!(error, StoreError::Broken(_)), "{error}");
}
