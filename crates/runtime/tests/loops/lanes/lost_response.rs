//! A commit whose response was lost is recognised by its version, or by what it left in the lane.

use faulty_store::{Fault, StoreCall};
use forebay_runtime::lanes::{Applied, LaneChange, Lanes};
use forebay_shared::{
    class::Class,
    job::Status,
    lane::{LiveProcesses, Refused, State},
    store::Timer,
    time::TimeMs,
};
use futures_util::FutureExt as _;

use crate::scene::{
    Scene, TIMEOUT, claim, claim_change, claim_key, finish, job_of, lane, process, retry, settle,
};

/// The response to the next commit is lost. `then` runs before the next try.
fn lose_answer_then(scene: &Scene, then: impl Future<Output = ()> + Send + 'static) {
    let faults = [Fault::LoseResponse, Fault::After(then.boxed())];
    scene.store.plan(StoreCall::Commit, faults);
}

/// Another process takes a job over, as if its worker were gone.
async fn take_over(lanes: Lanes, session: &'static str, job: forebay_shared::ids::JobId) {
    let presence = LiveProcesses {
        at: TimeMs(u64::MAX),
        alive: std::sync::Arc::default(),
    };
    let timer = Timer {
        job,
        lane: lane(session),
        at: TimeMs(0),
    };
    let change = LaneChange::tick(timer, Some(presence));
    lanes.apply(change, TIMEOUT).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_recognised_by_its_own_version() {
    let scene = Scene::new();
    scene.store.plan(StoreCall::Commit, [Fault::LoseResponse]);
    let job = scene.admit("s", "hello").await;
    let tried = scene.store.commits();
    assert_eq!(tried.len(), 2);
    assert_eq!(tried[0].version, tried[1].version);
    assert_eq!(scene.commits_made(), 1, "no second effect");
    settle().await;
    assert_eq!(scene.queue.woken(), [job], "its wake is published");
}

#[tokio::test(start_paused = true)]
async fn every_response_may_be_lost_twice_and_each_change_is_made_once() {
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
    let (live, ended) = scene.memory.state().counts[&(tenant, Class::Interactive)];
    assert_eq!((live.live(), ended), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_recognised_though_a_third_party_changed_the_lane() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let (third, next) = (scene.third_party(), job_of("s"));
    let change = scene.message("s", next, "two");
    lose_answer_then(&scene, async move {
        third.apply(change, TIMEOUT).await.unwrap();
    });
    let applied = scene.apply(claim_change("s", job, "me")).await;
    let Ok(Applied::Claimed {
        fence: 1,
        attempt: 1,
        until,
        work,
        ..
    }) = applied
    else {
        panic!("not claimed: {applied:?}");
    };
    assert_eq!(work.meta.id, job);
    let entry = scene.entry("s", job);
    assert_eq!((entry.fence, entry.attempts.len()), (1, 1));
    let running = State::Running {
        worker: process("me"),
        until,
    };
    assert_eq!(entry.state, running);
    assert_eq!(scene.order("s"), [job, next]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_taken_over_meanwhile_is_refused() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let third = scene.third_party();
    lose_answer_then(&scene, async move {
        take_over(third.clone(), "s", job).await;
        claim(&third, "s", job, "other").await.unwrap();
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
    let third = scene.third_party();
    lose_answer_then(&scene, async move {
        let cancel = LaneChange::cancel(lane("s"), job);
        third.apply(cancel, TIMEOUT).await.unwrap();
    });
    let applied = scene.apply(claim_change("s", job, "me")).await;
    assert_eq!(applied.unwrap_err().refused(), Some(Refused::Gone));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_had_no_effect_is_made_on_the_changed_lane() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let (third, next) = (scene.third_party(), job_of("s"));
    let change = scene.message("s", next, "two");
    let meanwhile = async move {
        third.apply(change, TIMEOUT).await.unwrap();
    };
    scene
        .store
        .plan(StoreCall::Commit, [Fault::After(meanwhile.boxed())]);
    assert_eq!(scene.claim("s", job).await, 1);
    assert_eq!(scene.order("s"), [job, next]);
}

#[tokio::test(start_paused = true)]
async fn a_finish_that_emptied_the_lane_is_a_success() {
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
async fn a_finish_is_a_success_though_the_next_job_runs_already() {
    let scene = Scene::new();
    let (a, b) = (scene.admit("s", "one").await, scene.admit("s", "two").await);
    let fence = scene.claim("s", a).await;
    let third = scene.third_party();
    lose_answer_then(&scene, async move {
        let fence = claim(&third, "s", b, "other").await.unwrap();
        let change = finish("s", b, fence, "second");
        third.apply(change, TIMEOUT).await.unwrap();
    });
    let applied = scene.apply(finish("s", a, fence, "first")).await;
    assert!(matches!(applied, Ok(Applied::Done)));
    assert_eq!(scene.turns("s"), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_counted_once() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    let (third, next) = (scene.third_party(), job_of("s"));
    let change = scene.message("s", next, "two");
    lose_answer_then(&scene, async move {
        third.apply(change, TIMEOUT).await.unwrap();
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
async fn a_release_is_a_success_though_another_has_claimed_the_job_since() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let fence = scene.claim("s", job).await;
    let third = scene.third_party();
    lose_answer_then(&scene, async move {
        assert_eq!(claim(&third, "s", job, "other").await.unwrap(), 2);
    });
    let release = LaneChange::release(claim_key("s", job, fence));
    assert!(matches!(scene.apply(release).await, Ok(Applied::Done)));
    assert_eq!(scene.entry("s", job).fence, 2);
}

#[tokio::test(start_paused = true)]
async fn an_admission_whose_job_was_claimed_meanwhile_is_refused_because_the_job_exists() {
    let scene = Scene::new();
    let (job, third) = (job_of("s"), scene.third_party());
    lose_answer_then(&scene, async move {
        claim(&third, "s", job, "other").await.unwrap();
    });
    let applied = scene.apply(scene.message("s", job, "hello")).await;
    assert_eq!(applied.unwrap_err().refused(), Some(Refused::Exists));
    assert_eq!(scene.order("s"), [job]);
}
