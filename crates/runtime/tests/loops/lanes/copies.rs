//! Claims with the copy of the lane that a wake carries. The copy saves a load, and the commit verifies it.

use faulty_store::{Fault, StoreCall};
use forebay_runtime::lanes::{Applied, LaneChange, LaneError};
use forebay_shared::{ids::JobId, lane::Refused, store::LoadedLane, wake::LaneCopy};

use crate::scene::{Scene, TIMEOUT, claim_change, finish, let_tasks_run, texts};

/// The copy in the last wake of a job.
async fn copy_in_wake(scene: &Scene, job: JobId) -> LoadedLane {
    let_tasks_run().await;
    let wakes = scene.queue.wakes();
    let wake = wakes.iter().rfind(|wake| wake.job == job).unwrap();
    let copy = wake.lane_copy.as_ref().and_then(LaneCopy::read);
    copy.expect("the wake has a copy of its lane")
}

fn claim(job: JobId, copy: LoadedLane) -> LaneChange {
    claim_change("s", job, "me").with_lane_copy(Some(copy))
}

#[tokio::test(start_paused = true)]
async fn a_claim_on_an_unchanged_lane_is_one_commit_and_no_load() {
    let scene = Scene::new();
    let first = scene.admit("s", "one").await;
    let copy = copy_in_wake(&scene, first).await;
    let applied = scene.apply(claim(first, copy)).await.unwrap();
    let Applied::Claimed { fence, .. } = applied else {
        panic!("the claim returned {applied:?}");
    };
    let second = scene.admit("s", "two").await;
    scene
        .apply(finish("s", first, fence, "reply"))
        .await
        .unwrap();
    // The end of an attempt wakes the next job with a copy too.
    let copy = copy_in_wake(&scene, second).await;
    let applied = scene.apply(claim(second, copy)).await.unwrap();
    let Applied::Claimed {
        run_inputs: Some(run_inputs),
        ..
    } = applied
    else {
        panic!("the claim returned {applied:?}");
    };
    assert_eq!(texts(&run_inputs.request.input), ["two"]);
    assert_eq!(texts(&run_inputs.conversation.turns), ["reply"]);
    assert_eq!(scene.store.call_count(StoreCall::Load), 0);
    assert_eq!(scene.commits_made(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_claim_with_an_outdated_copy_is_made_on_the_lane_that_the_conflict_returns() {
    let scene = Scene::new();
    let first = scene.admit("s", "one").await;
    let copy = copy_in_wake(&scene, first).await;
    let second = scene.admit("s", "two").await;
    let commits = scene.store.call_count(StoreCall::Commit);
    let loads = scene.store.call_count(StoreCall::Load);
    let applied = scene.apply(claim(first, copy)).await.unwrap();
    let Applied::Claimed {
        run_inputs: Some(run_inputs),
        ..
    } = applied
    else {
        panic!("the claim returned {applied:?}");
    };
    assert_eq!(texts(&run_inputs.request.input), ["one"]);
    assert_eq!(scene.jobs_in_order("s"), [first, second]);
    assert_eq!(scene.store.call_count(StoreCall::Load), loads);
    assert_eq!(scene.store.call_count(StoreCall::Commit), commits + 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_has_ended_or_runs_is_not_claimed_with_an_outdated_copy() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let copy = copy_in_wake(&scene, job).await;
    let fence = scene.claim("s", job).await;
    let change = claim_change("s", job, "other").with_lane_copy(Some(copy.clone()));
    let result = scene.other_process().apply(change, TIMEOUT).await;
    assert!(
        matches!(result, Err(LaneError::Refused(Refused::Running))),
        "{result:?}"
    );
    scene.apply(finish("s", job, fence, "reply")).await.unwrap();
    let result = scene.apply(claim(job, copy)).await;
    assert!(
        matches!(result, Err(LaneError::Refused(Refused::Gone))),
        "{result:?}"
    );
    assert!(scene.jobs_in_order("s").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_response_was_lost_is_granted_once_and_reads_its_inputs_later() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let copy = copy_in_wake(&scene, job).await;
    scene.store.plan(StoreCall::Commit, [Fault::LoseResponse]);
    let applied = scene.apply(claim(job, copy)).await.unwrap();
    let Applied::Claimed {
        fence: 1,
        attempt: 1,
        run_inputs: None,
        ..
    } = applied
    else {
        panic!("the claim returned {applied:?}");
    };
    assert_eq!(scene.entry("s", job).fence, 1);
    assert_eq!(scene.commits_made(), 2);
    assert_eq!(scene.store.call_count(StoreCall::Commit), 3);
    assert_eq!(scene.store.call_count(StoreCall::Load), 0);
}
