//! `member`: a process that leaves says so, and one whose loop has panicked knows it.

use std::time::Duration;

use futures_util::FutureExt as _;

use crate::{
    fickle::{Fault, Mode, Op},
    scene::{Scene, pass_ms, process},
};

#[tokio::test(start_paused = true)]
async fn whoever_leaves_takes_its_announcement_and_its_election_back() {
    let scene = Scene::new();
    let first = scene.join("first");
    pass_ms(1_000).await;
    let second = scene.join("second");
    pass_ms(1_000).await;
    assert_eq!(scene.memory.sweeper(), Some(process("first")));
    assert!(first.failed().now_or_never().is_none());
    first.leave().await;
    assert!(!scene.memory.is_announced(&process("first")));
    // Not after the 2 s for which an election holds: at the next sweep.
    pass_ms(300).await;
    assert_eq!(scene.memory.sweeper(), Some(process("second")));
    second.leave().await;
    let calls = scene.store.calls(Op::Announce);
    pass_ms(10_000).await;
    assert_eq!(
        scene.store.calls(Op::Announce),
        calls,
        "its loops have ended"
    );
    assert!(scene.store.calls(Op::Resign) == 2 && scene.memory.sweeper().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_is_known() {
    for op in [Op::Announce, Op::Elect, Op::Counts] {
        let scene = Scene::new();
        let member = scene.join("me");
        pass_ms(1_500).await;
        assert!(member.failed().now_or_never().is_none());
        scene.store.script(op, [Fault::Panics]);
        let known = tokio::time::timeout(Duration::from_secs(2), member.failed()).await;
        assert!(known.is_ok(), "{op:?}");
        // What is left can still leave.
        member.leave().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_keeps_nobody_from_leaving() {
    let scene = Scene::new();
    let member = scene.join("me");
    pass_ms(1_500).await;
    scene.store.set(Mode::Away);
    let left = tokio::time::timeout(Duration::from_secs(1), member.leave()).await;
    assert!(left.is_ok());
    assert!(member.failed().now_or_never().is_none());
}
