//! The lanes that a process caches because it runs their heads. The cache saves loads, and a commit or a load confirms
//! every result.

use faulty_store::StoreCall;
use forebay_runtime::lanes::{Applied, LaneChange};
use forebay_shared::{
    job::Status,
    lane::{IfBusy, REVISIT_MS, Refused, ReleaseReason},
    store::Timer,
};

use crate::scene::{
    PARK_MS, Scene, TIMEOUT, claim_key, finish, lane, let_tasks_run, new_job_id, pass_ms, retry,
};

#[tokio::test(start_paused = true)]
async fn the_end_of_an_attempt_needs_no_load() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    let fence = scene.claim("s", job).await;
    let (loads, commits) = (
        scene.store.call_count(StoreCall::Load),
        scene.store.call_count(StoreCall::Commit),
    );
    scene.apply(finish("s", job, fence, "reply")).await.unwrap();
    assert_eq!(scene.store.call_count(StoreCall::Load), loads);
    assert_eq!(scene.store.call_count(StoreCall::Commit), commits + 1);
    assert_eq!(scene.ended_as(job), Some(Status::Completed));
}

#[tokio::test(start_paused = true)]
async fn the_admissions_of_this_process_keep_the_lane_in_the_cache() {
    let scene = Scene::new();
    let job_a = scene.admit("s", "one").await;
    let fence = scene.claim("s", job_a).await;
    let (loads, commits) = (
        scene.store.call_count(StoreCall::Load),
        scene.store.call_count(StoreCall::Commit),
    );
    let job_b = scene.admit("s", "two").await;
    scene
        .apply(finish("s", job_a, fence, "reply"))
        .await
        .unwrap();
    assert_eq!(scene.store.call_count(StoreCall::Load), loads);
    assert_eq!(
        scene.store.call_count(StoreCall::Commit),
        commits + 2,
        "no conflict"
    );
    assert_eq!(scene.jobs_in_order("s"), [job_b]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_whose_head_does_not_run_is_not_cached() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    let later = scene.now().plus_ms(1_000);
    scene.apply(retry("s", job, fence, later)).await.unwrap();
    let loads = scene.store.call_count(StoreCall::Load);
    scene
        .apply(LaneChange::cancel(lane("s"), job))
        .await
        .unwrap();
    assert_eq!(scene.store.call_count(StoreCall::Load), loads + 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_on_an_outdated_cached_lane_conflicts_and_is_made_on_the_current_lane() {
    let scene = Scene::new();
    let job_a = scene.admit("s", "one").await;
    let fence = scene.claim("s", job_a).await;
    scene.queue.purge();
    let job_b = new_job_id("s");
    let change = scene.admission("s", job_b, "two");
    scene.other_process().apply(change, TIMEOUT).await.unwrap();
    scene
        .apply(finish("s", job_a, fence, "reply"))
        .await
        .unwrap();
    assert_eq!(scene.jobs_in_order("s"), [job_b]);
    let_tasks_run().await;
    assert_eq!(scene.queue.woken(), [job_b]);
}

#[tokio::test(start_paused = true)]
async fn a_completion_is_refused_by_the_current_lane() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    let cancel = LaneChange::cancel(lane("s"), job);
    scene.other_process().apply(cancel, TIMEOUT).await.unwrap();
    let finished = scene.apply(finish("s", job, fence, "reply")).await;
    assert_eq!(finished.unwrap_err().refused(), Some(Refused::Gone));
    assert!(scene.turns("s").is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_change_is_refused_by_a_cached_lane() {
    let scene = Scene::new();
    let job_a = scene.admit("s", "one").await;
    scene.claim("s", job_a).await;
    let other_process = scene.other_process();
    // In the cached lane, the session is busy.
    let cancel = LaneChange::cancel(lane("s"), job_a);
    other_process.apply(cancel, TIMEOUT).await.unwrap();
    let job_b = new_job_id("s");
    let change = scene.admission_with("s", job_b, "two", |admit| admit.if_busy = IfBusy::Reject);
    scene.apply(change).await.unwrap();

    // In the cached lane, there is no such job.
    scene.claim("s", job_b).await;
    let job_c = new_job_id("s");
    let change = scene.admission("s", job_c, "three");
    other_process.apply(change, TIMEOUT).await.unwrap();
    scene
        .apply(LaneChange::cancel(lane("s"), job_c))
        .await
        .unwrap();
    assert_eq!(scene.ended_as(job_c), Some(Status::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_change_without_effect_on_the_cached_lane_is_applied_to_the_loaded_lane() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    pass_ms(1_000).await;
    // In the cached lane, the job runs, and only its timer would move.
    let release = LaneChange::release(claim_key("s", job, fence), ReleaseReason::WorkerStops);
    scene.other_process().apply(release, TIMEOUT).await.unwrap();
    let at = scene.timer(job);
    scene.queue.purge();
    pass_ms(3_000).await;
    let timer = Timer {
        job,
        lane: lane("s"),
        at,
    };
    let applied = scene.apply(LaneChange::tick(timer, None)).await;
    assert!(matches!(applied, Ok(Applied::Done)));
    let_tasks_run().await;
    assert_eq!(
        scene.queue.woken(),
        [job],
        "the job is queued, so it is woken"
    );
    pass_ms(PARK_MS).await;
    assert!(scene.timer_in_ms(job) > REVISIT_MS - 2_000);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_admitted_again_is_refused_although_the_cached_lane_does_not_have_it() {
    let scene = Scene::new();
    let (job_a, job_b) = (scene.admit("s", "one").await, scene.admit("s", "two").await);
    let fence = scene.claim("s", job_a).await;
    scene
        .apply(finish("s", job_a, fence, "reply"))
        .await
        .unwrap();
    scene.claim("s", job_b).await;
    // The cached lane does not have `job_a`, and records are not cached.
    let again = scene.apply(scene.admission("s", job_a, "one")).await;
    assert_eq!(again.unwrap_err().refused(), Some(Refused::Exists));
    assert_eq!(scene.jobs_in_order("s"), [job_b]);
}
