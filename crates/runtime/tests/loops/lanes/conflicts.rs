//! The count of commit conflicts shows only what other processes did.

use faulty_store::{Fault, StoreCall};
use forebay_shared::job::Status;
use futures_util::FutureExt as _;

use crate::scene::{Scene, TIMEOUT, finish, let_tasks_run, new_job_id};

#[tokio::test(start_paused = true)]
async fn submits_to_one_session_from_one_process_are_no_conflicts() {
    let scene = Scene::new();
    for text in ["one", "two", "three", "four", "five"] {
        scene.admit("s", text).await;
    }
    assert_eq!(scene.lane_metrics.commit_conflicts.get(), 0);
    let job = scene.jobs_in_order("s")[0];
    let fence = scene.claim("s", job).await;
    scene.apply(finish("s", job, fence, "reply")).await.unwrap();
    assert_eq!(scene.ended_as(job), Some(Status::Completed));
    assert_eq!(scene.lane_metrics.commit_conflicts.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn changes_by_another_process_are_conflicts() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    let other_process = scene.other_process();
    let change = scene.admission("s", new_job_id("s"), "two");
    other_process.apply(change, TIMEOUT).await.unwrap();
    // The cached lane is too old.
    scene.apply(finish("s", job, fence, "reply")).await.unwrap();
    assert_eq!(scene.lane_metrics.commit_conflicts.get(), 1);

    let job = scene.jobs_in_order("s")[0];
    let change = scene.admission("s", new_job_id("s"), "three");
    let meanwhile = async move {
        other_process.apply(change, TIMEOUT).await.unwrap();
    };
    // The lane changes between the load and the commit.
    scene
        .store
        .plan(StoreCall::Commit, [Fault::After(meanwhile.boxed())]);
    scene.claim("s", job).await;
    assert_eq!(scene.lane_metrics.commit_conflicts.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_response_was_lost_is_no_conflict() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    scene.store.plan(StoreCall::Commit, [Fault::LoseResponse]);
    scene.apply(finish("s", job, fence, "reply")).await.unwrap();
    let_tasks_run().await;
    assert_eq!(scene.lane_metrics.commit_conflicts.get(), 0);
}
