//! The store is away, slow, full or broken, or whoever asked goes away.

use std::time::Duration;

use forebay_runtime::lanes::{LaneChange, LaneError};
use forebay_shared::{
    job::Status,
    store::{StoreError, Timer},
};
use futures_util::{FutureExt as _, future::join_all};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    fickle::{Fault, Mode, Op},
    scene::{PATIENCE, Scene, claim_change, finish, job_of, lane, pass_ms, settle},
};

/// The most events that may wait for one lane in one process.
const WAITING_MAX: usize = 1_000;

fn is_unavailable(error: &LaneError) -> bool {
    matches!(error, LaneError::Store(StoreError::Unavailable(_)))
}

#[tokio::test(start_paused = true)]
async fn an_outage_within_the_patience_is_sat_out() {
    let scene = Scene::new();
    scene.store.set(Mode::Away);
    let job = job_of("s");
    let back = async {
        pass_ms(5_000).await;
        scene.store.set(Mode::Fine);
    };
    let admission = scene.apply(scene.message("s", job, "hello"));
    let (applied, ()) = tokio::join!(admission, back);
    applied.unwrap();
    assert_eq!(scene.made(), 1);
    let tries = scene.store.calls(Op::Commit);
    assert!((5..20).contains(&tries), "{tries} tries in 5 s");
}

#[tokio::test(start_paused = true)]
async fn an_outage_beyond_the_patience_is_an_error_and_nothing_is_made_later() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    scene.store.set(Mode::Away);
    let began = Instant::now();
    let (admitted, claimed) = tokio::join!(
        scene.apply(scene.message("s", job_of("s"), "two")),
        scene.apply(claim_change("s", job, "me")),
    );
    assert!(is_unavailable(&admitted.unwrap_err()));
    assert!(is_unavailable(&claimed.unwrap_err()));
    let waited = began.elapsed();
    assert!(waited <= PATIENCE, "{waited:?}");
    assert!(
        waited > PATIENCE - Duration::from_millis(1_500),
        "{waited:?}"
    );
    scene.store.set(Mode::Fine);
    pass_ms(60_000).await;
    assert_eq!((scene.made(), scene.order("s")), (1, vec![job]));
    scene.claim("s", job).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_no_more_than_the_patience() {
    let scene = Scene::new();
    scene.store.set(Mode::Hanging);
    let (under_way, waiting) = (job_of("s"), job_of("s"));
    let began = Instant::now();
    let first = scene.apply(scene.message("s", under_way, "one"));
    let second = async {
        settle().await;
        scene.apply(scene.message("s", waiting, "two")).await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(is_unavailable(&first.unwrap_err()) && is_unavailable(&second.unwrap_err()));
    assert_eq!(began.elapsed(), PATIENCE + Duration::from_millis(1));

    scene.store.set(Mode::Fine);
    pass_ms(60_000).await;
    // What was under way is made whole; what nobody waits for any more is not begun.
    assert_eq!(scene.order("s"), [under_way]);
    assert_eq!(scene.queue.woken(), [under_way]);
}

#[tokio::test(start_paused = true)]
async fn a_full_store_is_told_to_all_who_wait_and_not_tried_again() {
    let scene = Scene::new();
    scene.store.set(Mode::Full);
    let began = Instant::now();
    let admissions = (0..5).map(|_| scene.apply(scene.message("s", job_of("s"), "hello")));
    for applied in join_all(admissions).await {
        assert!(matches!(applied, Err(LaneError::Store(StoreError::Full))));
    }
    assert_eq!(scene.store.calls(Op::Commit), 1);
    assert!(began.elapsed().is_zero());
    scene.store.set(Mode::Fine);
    scene.admit("s", "hello").await;
}

#[tokio::test(start_paused = true)]
async fn in_a_full_store_what_was_accepted_still_runs_and_ends() {
    let scene = Scene::new();
    let (a, b) = (scene.admit("s", "one").await, scene.admit("s", "two").await);
    scene.store.set(Mode::Full);
    let fence = scene.claim("s", a).await;
    let refused = scene.apply(scene.message("s", job_of("s"), "three")).await;
    assert!(matches!(refused, Err(LaneError::Store(StoreError::Full))));
    scene.apply(finish("s", a, fence, "reply")).await.unwrap();
    assert_eq!(
        (scene.ended_as(a), scene.order("s")),
        (Some(Status::Completed), vec![b])
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_store_is_not_tried_again() {
    let scene = Scene::new();
    scene.store.script(Op::Load, [Fault::Broken]);
    let cancel = LaneChange::cancel(lane("s"), job_of("s"));
    let applied = scene.apply(cancel).await;
    assert!(matches!(
        applied,
        Err(LaneError::Store(StoreError::Broken(_)))
    ));
    assert_eq!(scene.store.calls(Op::Load), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_store_frees_the_lane() {
    let scene = Scene::new();
    scene.store.script(Op::Commit, [Fault::Panics]);
    let began = Instant::now();
    let admissions = (0..3).map(|_| scene.apply(scene.message("s", job_of("s"), "hello")));
    for applied in join_all(admissions).await {
        assert!(is_unavailable(&applied.unwrap_err()));
    }
    assert!(began.elapsed().is_zero(), "nobody waits in vain");
    scene.admit("s", "hello").await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_what_is_under_way_whole() {
    let scene = Scene::new();
    let (a, b) = (scene.admit("s", "one").await, scene.admit("s", "two").await);
    let fence = scene.claim("s", a).await;
    scene.queue.purge();
    let (open, opened) = oneshot::channel();
    let gate = async move { opened.await.unwrap() };
    scene
        .store
        .script(Op::Commit, [Fault::Meanwhile(gate.boxed())]);
    {
        let mut finished = std::pin::pin!(scene.apply(finish("s", a, fence, "reply")));
        tokio::select! {
            biased;
            _ = &mut finished => panic!("the store has not answered"),
            () = settle() => {}
        }
    }
    open.send(()).unwrap();
    settle().await;
    assert_eq!(scene.ended_as(a), Some(Status::Completed));
    assert_eq!(scene.turns("s"), ["reply"]);
    assert_eq!(scene.queue.woken(), [b]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_before_its_turn_leaves_nothing() {
    let scene = Scene::new();
    let job = job_of("s");
    let mut admission = Box::pin(scene.apply(scene.message("s", job, "one")));
    assert!(admission.as_mut().now_or_never().is_none());
    drop(admission);
    settle().await;
    assert_eq!(scene.store.calls(Op::Commit), 0);
    // The lane is free for others.
    scene.admit("s", "hello").await;
}

#[tokio::test(start_paused = true)]
async fn only_so_many_may_wait_for_one_lane() {
    let scene = Scene::new();
    scene.store.set(Mode::Hanging);
    let cancel = || scene.apply(LaneChange::cancel(lane("s"), job_of("s")));
    let mut under_way = Box::pin(cancel());
    assert!(under_way.as_mut().now_or_never().is_none());
    settle().await;
    let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(cancel())).collect();
    for change in &mut waiting {
        assert!(change.as_mut().now_or_never().is_none());
    }
    let one_too_many = cancel().now_or_never().expect("an answer at once");
    assert!(matches!(one_too_many, Err(LaneError::Contended)));
    // Another lane is none of its business.
    let other = scene.apply(LaneChange::cancel(lane("t"), job_of("t")));
    assert!(other.now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_others_change_without_pause_is_crowded() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    let other_change = || {
        let (third, new) = (scene.third_party(), job_of("s"));
        let change = scene.message("s", new, "another");
        let meanwhile = async move {
            third.apply(change, PATIENCE).await.unwrap();
        };
        Fault::Meanwhile(meanwhile.boxed())
    };
    scene
        .store
        .script(Op::Commit, (0..99).map(|_| other_change()));
    scene
        .apply(LaneChange::cancel(lane("s"), job))
        .await
        .unwrap();
    assert_eq!(scene.order("s").len(), 99);

    let job = scene.order("s")[0];
    scene
        .store
        .script(Op::Commit, (0..100).map(|_| other_change()));
    let applied = scene.apply(LaneChange::cancel(lane("s"), job)).await;
    assert!(matches!(applied, Err(LaneError::Contended)), "{applied:?}");
    assert_eq!(scene.ended_as(job), None);
}

#[tokio::test(start_paused = true)]
async fn timers_that_cannot_be_moved_are_an_error_of_the_tick() {
    let scene = Scene::new();
    let job = scene.admit("s", "one").await;
    settle().await;
    let at = scene.timer(job);
    scene.store.script(Op::MoveTimers, [Fault::Broken]);
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
async fn in_a_full_store_an_admission_takes_no_claim_and_no_finish_down_with_it() {
    let scene = Scene::new();
    let a = scene.admit("s", "one").await;
    scene.store.set(Mode::Full);
    let (claimed, admitted) = tokio::join!(
        scene.apply(claim_change("s", a, "me")),
        scene.apply(scene.message("s", job_of("s"), "two")),
    );
    assert!(matches!(admitted, Err(LaneError::Store(StoreError::Full))));
    assert!(claimed.is_ok(), "{claimed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_sits_an_outage_out_like_any_change() {
    let scene = Scene::new();
    scene.admit("s", "one").await;
    let job = job_of("s");
    let change = scene.message_with("s", job, "two", |admit| {
        admit.if_busy = forebay_shared::lane::IfBusy::Interrupt;
    });
    // The store goes away right after the conflict that tells of the job to be interrupted.
    let away = scene.store.clone();
    let gone = async move { away.set(Mode::Away) };
    scene
        .store
        .script(Op::Commit, [Fault::Meanwhile(gone.boxed())]);
    let back = async {
        pass_ms(1_000).await;
        scene.store.set(Mode::Fine);
    };
    let (applied, ()) = tokio::join!(scene.apply(change), back);
    applied.unwrap();
}
