//! A commit whose response was lost is recognised by its version, or by what it left in the lane.

use faulty_store::{Fault, StoreCall};
use forebay_runtime::lanes::{Applied, LaneChange, LaneError, Lanes};
use forebay_shared::{
    class::Class,
    job::Status,
    lane::{LiveProcesses, Refused, ReleaseReason, State},
    store::{StoreError, Timer},
    time::TimeMs,
};
use futures_util::FutureExt as _;

use crate::scene::{
    Scene, TIMEOUT, claim, claim_change, claim_key, finish, lane, let_tasks_run, new_job_id,
    process, retry,
};

/// The response to the next commit is lost. `then` runs before the commit is repeated.
fn lose_response_then(scene: &Scene, then: impl Future<Output = ()> + Send + 'static) {
    let faults = [Fault::LoseResponse, Fault::After(then.boxed())];
    scene.store.plan(StoreCall::Commit, faults);
}

/// Another process requeues a running job, as if its worker were gone.
async fn take_over(lanes: Lanes, session: &'static str, job: forebay_shared::ids::JobId) {
    let none_alive = LiveProcesses {
        read_at: TimeMs(u64::MAX),
        alive: std::sync::Arc::default(),
    };
    let timer = Timer {
        job,
        lane: lane(session),
        at: TimeMs(0),
    };
    let change = LaneChange::tick(timer, Some(none_alive));
    lanes.apply(change, TIMEOUT).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_response_was_lost_is_recognised_by_its_version() {
    let scene = Scene::new();
    scene.store.plan(StoreCall::Commit, [Fault::LoseResponse]);
    let job = scene.admit("s", "hello").await;
    let commits = scene.store.commits();
    assert_eq!(commits.len(), 2);
    assert_eq!(commits[0].version, commits[1].version);
    assert_eq!(scene.commits_made(), 1, "no second effect");
    let_tasks_run().await;
    assert_eq!(scene.queue.woken(), [job], "its wake is published");
}

#[tokio::test(start_paused = true)]
async fn each_change_is_made_once_although_every_response_is_lost_twice() {
    let scene = Scene::new();
    for _ in 0..3 {
        let twice = [Fault::LoseResponse, Fault::LoseResponse];
        scene.store.plan(StoreCall::Commit, twice);
        let job = scene.admit("s", "hello").await;
        let twice = [Fault::LoseResponse, Fault::LoseResponse];
        scene.store.plan(StoreCall::Commit, twice);
        let fence = scene.claim("s", job).await;
        let twice = [Fault::LoseResponse, Fault::LoseResponse];
        scene.store.plan(StoreCall::Commit, twice);
        scene.apply(finish("s", job, fence, "reply")).await.unwrap();
        assert_eq!(scene.ended_as(job), Some(Status::Completed));
    }
    assert_eq!(scene.commits_made(), 9);
    assert_eq!(scene.turns("s"), ["reply"; 3]);
    let tenant = forebay_shared::ids::TenantId::default();
    let (live, ended) = scene.inner_store.state().counts[&(tenant, Class::Interactive)];
    assert_eq!((live.live(), ended), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_recognised_although_another_process_changed_the_lane() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let (other_process, next) = (scene.other_process(), new_job_id("s"));
    let change = scene.admission("s", next, "two");
    lose_response_then(&scene, async move {
        other_process.apply(change, TIMEOUT).await.unwrap();
    });
    let applied = scene.apply(claim_change("s", job, "me")).await;
    let Ok(Applied::Claimed {
        fence: 1,
        attempt: 1,
        until,
        // The worker reads them, because a load leaves them out while the head runs.
        run_inputs: None,
        ..
    }) = applied
    else {
        panic!("not claimed: {applied:?}");
    };
    let entry = scene.entry("s", job);
    assert_eq!((entry.fence, entry.attempts.len()), (1, 1));
    let running = State::Running {
        worker: process("me"),
        until,
    };
    assert_eq!(entry.state, running);
    assert_eq!(scene.jobs_in_order("s"), [job, next]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_taken_over_meanwhile_is_refused() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let other_process = scene.other_process();
    lose_response_then(&scene, async move {
        take_over(other_process.clone(), "s", job).await;
        claim(&other_process, "s", job, "other").await.unwrap();
    });
    let applied = scene.apply(claim_change("s", job, "me")).await;
    assert_eq!(applied.unwrap_err().refused(), Some(Refused::Running));
    let entry = scene.entry("s", job);
    assert_eq!((entry.fence, entry.takeovers), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_cancelled_meanwhile_is_refused() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let other_process = scene.other_process();
    lose_response_then(&scene, async move {
        let cancel = LaneChange::cancel(lane("s"), job);
        other_process.apply(cancel, TIMEOUT).await.unwrap();
    });
    let applied = scene.apply(claim_change("s", job, "me")).await;
    assert_eq!(applied.unwrap_err().refused(), Some(Refused::Gone));
}

/// The claim is tried again without the admission, which the full store rejects.
#[tokio::test(start_paused = true)]
async fn a_claim_whose_response_is_lost_before_the_store_is_full_is_granted() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let faults = [Fault::LoseResponse, Fault::Full];
    scene.store.plan(StoreCall::Commit, faults);
    let (claimed, admitted) = tokio::join!(
        scene.apply(claim_change("s", job, "me")),
        scene.apply(scene.admission("s", new_job_id("s"), "two")),
    );
    assert!(
        matches!(claimed, Ok(Applied::Claimed { fence: 1, .. })),
        "{claimed:?}"
    );
    assert!(matches!(admitted, Err(LaneError::Store(StoreError::Full))));
    let entry = scene.entry("s", job);
    assert_eq!((entry.fence, entry.attempts.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_found_a_changed_lane_is_made_on_that_lane() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let (other_process, next) = (scene.other_process(), new_job_id("s"));
    let change = scene.admission("s", next, "two");
    let meanwhile = async move {
        other_process.apply(change, TIMEOUT).await.unwrap();
    };
    scene
        .store
        .plan(StoreCall::Commit, [Fault::After(meanwhile.boxed())]);
    assert_eq!(scene.claim("s", job).await, 1);
    assert_eq!(scene.jobs_in_order("s"), [job, next]);
}

#[tokio::test(start_paused = true)]
async fn a_finish_that_emptied_the_lane_succeeds_although_its_response_was_lost() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    let fence = scene.claim("s", job).await;
    scene.store.plan(StoreCall::Commit, [Fault::LoseResponse]);
    let applied = scene.apply(finish("s", job, fence, "reply")).await;
    assert!(matches!(applied, Ok(Applied::Done)));
    assert_eq!(scene.commits_made(), 3);
    assert_eq!(scene.turns("s"), ["reply"]);
}

#[tokio::test(start_paused = true)]
async fn a_finish_whose_response_was_lost_succeeds_although_the_next_job_has_ended() {
    let scene = Scene::new();
    let (job_a, job_b) = (scene.admit("s", "one").await, scene.admit("s", "two").await);
    let fence = scene.claim("s", job_a).await;
    let other_process = scene.other_process();
    lose_response_then(&scene, async move {
        let fence = claim(&other_process, "s", job_b, "other").await.unwrap();
        let change = finish("s", job_b, fence, "second");
        other_process.apply(change, TIMEOUT).await.unwrap();
    });
    let applied = scene.apply(finish("s", job_a, fence, "first")).await;
    assert!(matches!(applied, Ok(Applied::Done)));
    assert_eq!(scene.turns("s"), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_whose_response_was_lost_is_counted_once() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    let (other_process, next) = (scene.other_process(), new_job_id("s"));
    let change = scene.admission("s", next, "two");
    lose_response_then(&scene, async move {
        other_process.apply(change, TIMEOUT).await.unwrap();
    });
    let not_before = scene.now().plus_ms(5_000);
    scene
        .apply(retry("s", job, fence, not_before))
        .await
        .unwrap();
    assert_eq!(scene.entry("s", job).tries, 1);
    assert_eq!(scene.timer(job), not_before);
}

#[tokio::test(start_paused = true)]
async fn a_release_whose_response_was_lost_succeeds_although_another_worker_has_claimed_the_job() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    let other_process = scene.other_process();
    lose_response_then(&scene, async move {
        assert_eq!(claim(&other_process, "s", job, "other").await.unwrap(), 2);
    });
    let release = LaneChange::release(claim_key("s", job, fence), ReleaseReason::WorkerStops);
    assert!(matches!(scene.apply(release).await, Ok(Applied::Done)));
    assert_eq!(scene.entry("s", job).fence, 2);
}

#[tokio::test(start_paused = true)]
async fn an_admission_whose_job_was_claimed_meanwhile_is_refused_because_the_job_exists() {
    let scene = Scene::new();
    let (job, other_process) = (new_job_id("s"), scene.other_process());
    lose_response_then(&scene, async move {
        claim(&other_process, "s", job, "other").await.unwrap();
    });
    let applied = scene.apply(scene.admission("s", job, "hello")).await;
    assert_eq!(applied.unwrap_err().refused(), Some(Refused::Exists));
    assert_eq!(scene.jobs_in_order("s"), [job]);
}
