//! What a process remembers of the lanes whose heads it runs: a load spared, never an answer given.

use forebay_runtime::lanes::{Applied, LaneChange};
use forebay_shared::{
    job::Status,
    lane::{IfBusy, REVISIT_MS, Refused},
    store::Timer,
};

use crate::{
    fickle::Op,
    scene::{PATIENCE, Scene, claim_key, finish, job_of, lane, pass_ms, retry, settle},
};

#[tokio::test(start_paused = true)]
async fn the_end_of_an_attempt_needs_no_load() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    let fence = scene.claim("s", job).await;
    let (loads, commits) = (scene.store.calls(Op::Load), scene.store.calls(Op::Commit));
    scene.apply(finish("s", job, fence, "reply")).await.unwrap();
    assert_eq!(scene.store.calls(Op::Load), loads);
    assert_eq!(scene.store.calls(Op::Commit), commits + 1);
    assert_eq!(scene.ended_as(job), Some(Status::Completed));
}

#[tokio::test(start_paused = true)]
async fn it_stays_known_through_the_admissions_of_this_process() {
    let scene = Scene::new();
    let a = scene.admit("s", "one").await;
    let fence = scene.claim("s", a).await;
    let (loads, commits) = (scene.store.calls(Op::Load), scene.store.calls(Op::Commit));
    let b = scene.admit("s", "two").await;
    scene.apply(finish("s", a, fence, "reply")).await.unwrap();
    assert_eq!(scene.store.calls(Op::Load), loads);
    assert_eq!(scene.store.calls(Op::Commit), commits + 2, "no conflict");
    assert_eq!(scene.order("s"), [b]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_whose_head_does_not_run_is_not_remembered() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    let later = scene.now().plus_ms(1_000);
    scene.apply(retry("s", job, fence, later)).await.unwrap();
    let loads = scene.store.calls(Op::Load);
    scene
        .apply(LaneChange::cancel(lane("s"), job))
        .await
        .unwrap();
    assert_eq!(scene.store.calls(Op::Load), loads + 1);
}

#[tokio::test(start_paused = true)]
async fn stale_memory_is_a_conflict_and_the_change_is_made_on_the_lane_as_it_is() {
    let scene = Scene::new();
    let a = scene.admit("s", "one").await;
    let fence = scene.claim("s", a).await;
    scene.queue.purge();
    let b = job_of("s");
    let change = scene.message("s", b, "two");
    scene.third_party().apply(change, PATIENCE).await.unwrap();
    scene.apply(finish("s", a, fence, "reply")).await.unwrap();
    assert_eq!(scene.order("s"), [b]);
    settle().await;
    assert_eq!(scene.queue.woken(), [b]);
}

#[tokio::test(start_paused = true)]
async fn a_finish_is_refused_by_the_lane_as_it_is() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    let cancel = LaneChange::cancel(lane("s"), job);
    scene.third_party().apply(cancel, PATIENCE).await.unwrap();
    let finished = scene.apply(finish("s", job, fence, "reply")).await;
    assert_eq!(finished.unwrap_err().refused(), Some(Refused::Gone));
    assert!(scene.turns("s").is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_from_memory() {
    let scene = Scene::new();
    let a = scene.admit("s", "one").await;
    scene.claim("s", a).await;
    let third = scene.third_party();
    // As it is remembered, the session is busy.
    let cancel = LaneChange::cancel(lane("s"), a);
    third.apply(cancel, PATIENCE).await.unwrap();
    let b = job_of("s");
    let change = scene.message_with("s", b, "two", |admit| admit.if_busy = IfBusy::Reject);
    scene.apply(change).await.unwrap();

    // As it is remembered, there is no such job.
    scene.claim("s", b).await;
    let c = job_of("s");
    let change = scene.message("s", c, "three");
    third.apply(change, PATIENCE).await.unwrap();
    scene.apply(LaneChange::cancel(lane("s"), c)).await.unwrap();
    assert_eq!(scene.ended_as(c), Some(Status::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_is_not_answered_from_memory() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    pass_ms(1_000).await;
    // As it is remembered, the job runs, and its timer is all there is to move.
    let release = LaneChange::release(claim_key("s", job, fence));
    scene.third_party().apply(release, PATIENCE).await.unwrap();
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
    settle().await;
    assert_eq!(scene.queue.woken(), [job], "it waits, so it is woken");
    assert!(scene.timer_in_ms(job) > REVISIT_MS - 1_000);
}

#[tokio::test(start_paused = true)]
async fn the_same_job_admitted_once_more_is_refused_though_its_end_is_not_remembered() {
    let scene = Scene::new();
    let (a, b) = (scene.admit("s", "one").await, scene.admit("s", "two").await);
    let fence = scene.claim("s", a).await;
    scene.apply(finish("s", a, fence, "reply")).await.unwrap();
    scene.claim("s", b).await;
    // Remembered is a lane in which `a` is unknown; its record is not remembered at all.
    let again = scene.apply(scene.message("s", a, "one")).await;
    assert_eq!(again.unwrap_err().refused(), Some(Refused::Exists));
    assert_eq!(scene.order("s"), [b]);
}
