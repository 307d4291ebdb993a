//! Tests of `member`: a process that leaves ends its presence and its term, and a process detects that one of its loops has
//! panicked.

use faulty_store::{Fault, StoreCall, StoreMode};
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::scene::{Scene, pass_ms, process};

#[tokio::test(start_paused = true)]
async fn a_process_that_leaves_ends_its_presence_and_its_term() {
    let scene = Scene::new();
    let first = scene.join("first");
    pass_ms(1_000).await;
    let second = scene.join("second");
    pass_ms(1_000).await;
    assert_eq!(scene.inner_store.sweeper(), Some(process("first")));
    assert!(first.failed().now_or_never().is_none());
    first.leave().await;
    assert!(!scene.inner_store.is_present(&process("first")));
    // The other process is elected at its next election. It does not wait until the first term ends after 2 s.
    pass_ms(1_100).await;
    assert_eq!(scene.inner_store.sweeper(), Some(process("second")));
    second.leave().await;
    let calls = scene.store.call_count(StoreCall::RenewPresence);
    pass_ms(10_000).await;
    assert_eq!(
        scene.store.call_count(StoreCall::RenewPresence),
        calls,
        "its loops have ended"
    );
    assert!(
        scene.store.call_count(StoreCall::EndPresence) == 2
            && scene.inner_store.sweeper().is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_is_detected() {
    for call in [
        StoreCall::RenewPresence,
        StoreCall::ElectSweeper,
        StoreCall::Counts,
    ] {
        let scene = Scene::new();
        let member = scene.join("me");
        pass_ms(1_500).await;
        assert!(member.failed().now_or_never().is_none());
        scene.store.plan(call, [Fault::Panic]);
        let detected = tokio::time::timeout(Duration::from_secs(2), member.failed()).await;
        assert!(detected.is_ok(), "the panic in {call:?} was not detected");
        // The process can still leave.
        member.leave().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_can_leave_while_the_store_is_down() {
    let scene = Scene::new();
    let member = scene.join("me");
    pass_ms(1_500).await;
    scene.store.set_mode(StoreMode::Down);
    let left = tokio::time::timeout(Duration::from_secs(1), member.leave()).await;
    assert!(left.is_ok());
    assert!(member.failed().now_or_never().is_none());
}
