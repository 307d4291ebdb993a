//! A repair begins a new life of an ended job, once.

use faulty_store::{Fault, StoreCall};
use forebay_runtime::lanes::{LaneChange, LaneError};
use forebay_shared::{
    ids::JobId,
    job::{JobMeta, Status},
    lane::{IfBusy, Refused},
};
use futures_util::future::join_all;

use crate::scene::{Scene, finish, lane, let_tasks_run, new_job_id};

/// A cancelled job, and the fence of its outcome.
async fn cancelled(scene: &Scene) -> (JobId, u64) {
    let job = scene.admit("s", "one").await;
    scene.claim("s", job).await;
    let cancel = LaneChange::cancel(lane("s"), job);
    scene.apply(cancel).await.unwrap();
    (job, 1)
}

/// The repair of a job whose outcome has this fence. The job expires later than before.
fn repair(scene: &Scene, job: JobId, fence: u64) -> LaneChange {
    let meta = scene.inner_store.meta(job);
    let meta = JobMeta {
        expires_at: scene.now().plus_ms(5_000_000),
        retried_at: Some(scene.now()),
        ..meta
    };
    LaneChange::repair(meta.into(), fence)
}

fn refusal(result: Result<impl std::fmt::Debug, LaneError>) -> Refused {
    let error = result.expect_err("the repair should be refused");
    error.refused().expect("the rules refuse it")
}

#[tokio::test(start_paused = true)]
async fn a_repaired_job_is_woken_and_runs_with_its_new_deadline() {
    let scene = Scene::new();
    let (job, fence) = cancelled(&scene).await;
    let_tasks_run().await;
    let woken_before = scene.queue.woken().len();
    scene.apply(repair(&scene, job, fence)).await.unwrap();
    let_tasks_run().await;
    assert_eq!(scene.queue.woken().len(), woken_before + 1);
    assert_eq!(scene.ended_as(job), None);
    let deadline = scene.entry("s", job).deadline;
    assert_eq!(scene.inner_store.meta(job).expires_at, deadline);
    let fence = scene.claim("s", job).await;
    scene.apply(finish("s", job, fence, "reply")).await.unwrap();
    assert_eq!(scene.ended_as(job), Some(Status::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_repair_of_an_earlier_outcome_is_refused() {
    let scene = Scene::new();
    let (job, fence) = cancelled(&scene).await;
    scene.apply(repair(&scene, job, fence)).await.unwrap();
    let live = scene.apply(repair(&scene, job, fence)).await;
    assert_eq!(refusal(live), Refused::Exists);
    let newest = scene.claim("s", job).await;
    scene
        .apply(finish("s", job, newest, "reply"))
        .await
        .unwrap();
    let commits = scene.commits_made();
    let late = scene.apply(repair(&scene, job, fence)).await;
    assert_eq!(refusal(late), Refused::Exists);
    assert_eq!(scene.ended_as(job), Some(Status::Completed));
    assert_eq!(scene.commits_made(), commits);
}

#[tokio::test(start_paused = true)]
async fn a_repair_whose_response_was_lost_is_made_once() {
    let scene = Scene::new();
    let (job, fence) = cancelled(&scene).await;
    let commits = scene.commits_made();
    scene.store.plan(StoreCall::Commit, [Fault::LoseResponse]);
    scene.apply(repair(&scene, job, fence)).await.unwrap();
    assert_eq!(scene.commits_made(), commits + 1);
    assert_eq!(scene.entry("s", job).fence, fence + 1);
}

/// The changes wait for the same lane, so one commit makes them. The second repair belongs to the outcome before the batch.
#[tokio::test(start_paused = true)]
async fn a_batch_that_repairs_and_ends_a_job_does_not_repair_it_again() {
    let scene = Scene::new();
    let (job, fence) = cancelled(&scene).await;
    let commits = scene.commits_made();
    let newer = new_job_id("s");
    let rollback = scene.admission_with("s", newer, "two", |admit| {
        admit.if_busy = IfBusy::Rollback;
    });
    let changes = [
        repair(&scene, job, fence),
        rollback,
        repair(&scene, job, fence),
    ];
    let mut results = join_all(changes.map(|change| scene.apply(change))).await;
    assert_eq!(
        scene.commits_made(),
        commits + 1,
        "the changes were not made by one commit"
    );
    let last = results.pop().expect("three results");
    assert_eq!(refusal(last), Refused::Exists);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(scene.ended_as(job), Some(Status::Cancelled));
    assert_eq!(scene.jobs_in_order("s"), [newer]);
}

/// A repeated submit finds the job that an earlier change of the same batch has ended.
#[tokio::test(start_paused = true)]
async fn a_batch_that_admits_and_ends_a_job_does_not_admit_it_again() {
    let scene = Scene::new();
    let (job, newer) = (new_job_id("s"), new_job_id("s"));
    let rollback = scene.admission_with("s", newer, "two", |admit| {
        admit.if_busy = IfBusy::Rollback;
    });
    let changes = [
        scene.admission("s", job, "one"),
        rollback,
        scene.admission("s", job, "one"),
    ];
    let mut results = join_all(changes.map(|change| scene.apply(change))).await;
    assert_eq!(
        scene.commits_made(),
        1,
        "the changes were not made by one commit"
    );
    let last = results.pop().expect("three results");
    assert_eq!(refusal(last), Refused::Exists);
    assert_eq!(scene.ended_as(job), Some(Status::Cancelled));
    assert_eq!(scene.jobs_in_order("s"), [newer]);
}
