//! The store is down, slow, full or broken, or the caller goes away.

use faulty_store::{Fault, StoreCall, StoreMode};
use std::time::Duration;

use forebay_runtime::lanes::{LaneChange, LaneError};
use forebay_shared::{
    job::Status,
    store::{StoreError, Timer},
};
use futures_util::{FutureExt as _, future::join_all};
use tokio::{sync::oneshot, time::Instant};

use crate::scene::{
    Scene, TIMEOUT, claim_change, finish, lane, let_tasks_run, new_job_id, pass_ms,
};

/// The most changes that may wait for one lane in one process. `lanes/handle.rs` has the same constant.
const WAITING_MAX: usize = 1_000;

fn is_unavailable(error: &LaneError) -> bool {
    matches!(error, LaneError::Store(StoreError::Unavailable(_)))
}

#[tokio::test(start_paused = true)]
async fn a_change_succeeds_if_the_store_recovers_before_the_timeout() {
    let scene = Scene::new();
    scene.store.set_mode(StoreMode::Down);
    let job = new_job_id("s");
    let recovery = async {
        pass_ms(5_000).await;
        scene.store.set_mode(StoreMode::Up);
    };
    let admission = scene.apply(scene.admission("s", job, "hello"));
    let (applied, ()) = tokio::join!(admission, recovery);
    applied.unwrap();
    assert_eq!(scene.commits_made(), 1);
    let commits = scene.store.call_count(StoreCall::Commit);
    assert!((5..20).contains(&commits), "{commits} commits in 5 s");
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_timeout_is_an_error_and_the_changes_are_not_made_later() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    scene.store.set_mode(StoreMode::Down);
    let began = Instant::now();
    let (admitted, claimed) = tokio::join!(
        scene.apply(scene.admission("s", new_job_id("s"), "two")),
        scene.apply(claim_change("s", job, "me")),
    );
    assert!(is_unavailable(&admitted.unwrap_err()));
    assert!(is_unavailable(&claimed.unwrap_err()));
    let waited = began.elapsed();
    assert!(waited <= TIMEOUT, "waited {waited:?}");
    assert!(
        waited > TIMEOUT - Duration::from_millis(1_500),
        "waited only {waited:?}"
    );
    scene.store.set_mode(StoreMode::Up);
    pass_ms(60_000).await;
    assert_eq!(
        (scene.commits_made(), scene.jobs_in_order("s")),
        (1, vec![job])
    );
    scene.claim("s", job).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_delays_the_caller_until_the_timeout_only() {
    let scene = Scene::new();
    scene.store.set_mode(StoreMode::Hanging);
    let (in_flight, waiting) = (new_job_id("s"), new_job_id("s"));
    let began = Instant::now();
    let first = scene.apply(scene.admission("s", in_flight, "one"));
    let second = async {
        let_tasks_run().await;
        scene.apply(scene.admission("s", waiting, "two")).await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(is_unavailable(&first.unwrap_err()) && is_unavailable(&second.unwrap_err()));
    // The timer of tokio rounds up to the next millisecond.
    assert_eq!(began.elapsed(), TIMEOUT + Duration::from_millis(1));

    scene.store.set_mode(StoreMode::Up);
    pass_ms(60_000).await;
    // The commit in flight is made. The change that was not in it is dropped, because its caller no longer waits.
    assert_eq!(scene.jobs_in_order("s"), [in_flight]);
    assert_eq!(scene.queue.woken(), [in_flight]);
}

#[tokio::test(start_paused = true)]
async fn a_full_store_is_an_error_for_every_caller_and_the_commit_is_not_repeated() {
    let scene = Scene::new();
    scene.store.set_mode(StoreMode::Full);
    let began = Instant::now();
    let admissions = (0..5).map(|_| scene.apply(scene.admission("s", new_job_id("s"), "hello")));
    for applied in join_all(admissions).await {
        assert!(matches!(applied, Err(LaneError::Store(StoreError::Full))));
    }
    assert_eq!(scene.store.call_count(StoreCall::Commit), 1);
    assert!(began.elapsed().is_zero());
    scene.store.set_mode(StoreMode::Up);
    scene.admit("s", "hello").await;
}

#[tokio::test(start_paused = true)]
async fn in_a_full_store_accepted_jobs_still_run_and_end() {
    let scene = Scene::new();
    let (job_a, job_b) = (scene.admit("s", "one").await, scene.admit("s", "two").await);
    scene.store.set_mode(StoreMode::Full);
    let fence = scene.claim("s", job_a).await;
    let refused = scene
        .apply(scene.admission("s", new_job_id("s"), "three"))
        .await;
    assert!(matches!(refused, Err(LaneError::Store(StoreError::Full))));
    scene
        .apply(finish("s", job_a, fence, "reply"))
        .await
        .unwrap();
    assert_eq!(
        (scene.ended_as(job_a), scene.jobs_in_order("s")),
        (Some(Status::Completed), vec![job_b])
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_call_that_returns_broken_is_not_repeated() {
    let scene = Scene::new();
    scene.store.plan(StoreCall::Load, [Fault::Broken]);
    let cancel = LaneChange::cancel(lane("s"), new_job_id("s"));
    let applied = scene.apply(cancel).await;
    assert!(matches!(
        applied,
        Err(LaneError::Store(StoreError::Broken(_)))
    ));
    assert_eq!(scene.store.call_count(StoreCall::Load), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_store_frees_the_lane() {
    let scene = Scene::new();
    scene.store.plan(StoreCall::Commit, [Fault::Panic]);
    let began = Instant::now();
    let admissions = (0..3).map(|_| scene.apply(scene.admission("s", new_job_id("s"), "hello")));
    for applied in join_all(admissions).await {
        assert!(is_unavailable(&applied.unwrap_err()));
    }
    assert!(
        began.elapsed().is_zero(),
        "every caller gets an answer at once"
    );
    scene.admit("s", "hello").await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_stop_its_commit() {
    let scene = Scene::new();
    let (job_a, job_b) = (scene.admit("s", "one").await, scene.admit("s", "two").await);
    let fence = scene.claim("s", job_a).await;
    scene.queue.purge();
    let (open, opened) = oneshot::channel();
    let gate = async move { opened.await.unwrap() };
    scene
        .store
        .plan(StoreCall::Commit, [Fault::After(gate.boxed())]);
    {
        let mut finished = std::pin::pin!(scene.apply(finish("s", job_a, fence, "reply")));
        tokio::select! {
            biased;
            _ = &mut finished => panic!("the commit cannot end before its gate opens"),
            () = let_tasks_run() => {}
        }
    }
    open.send(()).unwrap();
    let_tasks_run().await;
    assert_eq!(scene.ended_as(job_a), Some(Status::Completed));
    assert_eq!(scene.turns("s"), ["reply"]);
    assert_eq!(scene.queue.woken(), [job_b]);
}

#[tokio::test(start_paused = true)]
async fn the_change_of_a_caller_that_goes_away_before_its_commit_is_dropped() {
    let scene = Scene::new();
    let job = new_job_id("s");
    let mut admission = Box::pin(scene.apply(scene.admission("s", job, "one")));
    assert!(admission.as_mut().now_or_never().is_none());
    drop(admission);
    let_tasks_run().await;
    assert_eq!(scene.store.call_count(StoreCall::Commit), 0);
    // The lane is free for other changes.
    scene.admit("s", "hello").await;
}

#[tokio::test(start_paused = true)]
async fn the_changes_that_wait_for_one_lane_are_bounded() {
    let scene = Scene::new();
    scene.store.set_mode(StoreMode::Hanging);
    let cancel = || scene.apply(LaneChange::cancel(lane("s"), new_job_id("s")));
    let mut in_flight = Box::pin(cancel());
    assert!(in_flight.as_mut().now_or_never().is_none());
    let_tasks_run().await;
    let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(cancel())).collect();
    for change in &mut waiting {
        assert!(change.as_mut().now_or_never().is_none());
    }
    let one_too_many = cancel().now_or_never().expect("an answer at once");
    assert!(matches!(one_too_many, Err(LaneError::Contended)));
    // Another lane is not affected.
    let other = scene.apply(LaneChange::cancel(lane("t"), new_job_id("t")));
    assert!(other.now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_change_fails_after_one_hundred_conflicts() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let other_change = || {
        let (other_process, new) = (scene.other_process(), new_job_id("s"));
        let change = scene.admission("s", new, "another");
        let meanwhile = async move {
            other_process.apply(change, TIMEOUT).await.unwrap();
        };
        Fault::After(meanwhile.boxed())
    };
    scene
        .store
        .plan(StoreCall::Commit, (0..99).map(|_| other_change()));
    scene
        .apply(LaneChange::cancel(lane("s"), job))
        .await
        .unwrap();
    assert_eq!(scene.jobs_in_order("s").len(), 99);

    let job = scene.jobs_in_order("s")[0];
    scene
        .store
        .plan(StoreCall::Commit, (0..100).map(|_| other_change()));
    let applied = scene.apply(LaneChange::cancel(lane("s"), job)).await;
    assert!(
        matches!(applied, Err(LaneError::Contended)),
        "the change returned {applied:?}"
    );
    assert_eq!(scene.ended_as(job), None);
}

#[tokio::test(start_paused = true)]
async fn a_tick_whose_timer_cannot_be_moved_fails() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let_tasks_run().await;
    let at = scene.timer(job);
    scene.store.plan(StoreCall::MoveTimers, [Fault::Broken]);
    let timer = Timer {
        job,
        lane: lane("s"),
        at,
    };
    let applied = scene.apply(LaneChange::tick(timer.clone(), None)).await;
    assert!(matches!(applied, Err(LaneError::Store(_))));
    assert_eq!(scene.timer(job), at);
    scene.apply(LaneChange::tick(timer, None)).await.unwrap();
    assert_ne!(scene.timer(job), at);
}

#[tokio::test(start_paused = true)]
async fn in_a_full_store_a_claim_succeeds_although_an_admission_of_the_same_batch_fails() {
    let scene = Scene::new();
    let job_a = scene.admit("s", "one").await;
    scene.store.set_mode(StoreMode::Full);
    let (claimed, admitted) = tokio::join!(
        scene.apply(claim_change("s", job_a, "me")),
        scene.apply(scene.admission("s", new_job_id("s"), "two")),
    );
    assert!(matches!(admitted, Err(LaneError::Store(StoreError::Full))));
    assert!(claimed.is_ok(), "the claim returned {claimed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_is_repeated_after_an_outage_like_other_changes() {
    let scene = Scene::new();
    scene.admit("s", "one").await;
    let job = new_job_id("s");
    let change = scene.admission_with("s", job, "two", |admit| {
        admit.if_busy = forebay_shared::lane::IfBusy::Interrupt;
    });
    // The first commit assumes that the lane is absent, so it gets a conflict. Then the store is down, so the input of the
    // interrupted job cannot be read at once.
    let store = scene.store.clone();
    let outage = async move { store.set_mode(StoreMode::Down) };
    scene
        .store
        .plan(StoreCall::Commit, [Fault::After(outage.boxed())]);
    let recovery = async {
        pass_ms(1_000).await;
        scene.store.set_mode(StoreMode::Up);
    };
    let (applied, ()) = tokio::join!(scene.apply(change), recovery);
    applied.unwrap();
}
