//! One of all sweeps, and gives that up when it cannot publish.

use crate::{
    fickle::{Mode, Op},
    queue::Line,
    scene::{PATIENCE, Scene, job_of, pass_ms, process, settle},
};

use super::due::admit_silently;

#[tokio::test(start_paused = true)]
async fn one_sweeps_and_another_does_when_it_has_died() {
    let scene = Scene::new();
    let first = scene.join("first");
    pass_ms(100).await;
    let _second = scene.join("second");
    pass_ms(10_000).await;
    assert_eq!(scene.memory.sweeper(), Some(process("first")));
    // It dies without a word.
    first.leave().await;
    let until = scene.now().plus_ms(2_000);
    scene.memory.state().hold_election(process("first"), until);
    let sweeps = scene.store.calls(Op::Due);
    pass_ms(1_900).await;
    assert_eq!(scene.store.calls(Op::Due), sweeps);
    pass_ms(500).await;
    assert_eq!(scene.memory.sweeper(), Some(process("second")));
}

#[tokio::test(start_paused = true)]
async fn nobody_sweeps_before_its_first_announcement() {
    let scene = Scene::new();
    scene.store.set(Mode::Away);
    let _member = scene.join("me");
    pass_ms(5_000).await;
    assert_eq!(scene.store.calls(Op::Elect), 0);
    scene.store.set(Mode::Fine);
    pass_ms(1_500).await;
    assert_eq!(scene.memory.sweeper(), Some(process("me")));
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_publish_lets_another_try_and_then_stands_again() {
    let scene = Scene::new();
    let member = scene.join("me");
    pass_ms(10_000).await;
    scene.queue.set(Line::Away);
    let change = scene.message("s", job_of("s"), "hello");
    member.lanes.apply(change, PATIENCE).await.unwrap();
    settle().await;
    pass_ms(4_700).await;
    assert_eq!(scene.store.calls(Op::Abdicate), 0);
    assert_eq!(scene.memory.sweeper(), Some(process("me")));
    pass_ms(700).await;
    assert_eq!(scene.store.calls(Op::Abdicate), 1);
    assert_eq!(scene.memory.sweeper(), None);
    // It stands back, so that another is surely first; and stands again, as it may be alone.
    pass_ms(3_300).await;
    assert_eq!(scene.memory.sweeper(), None);
    pass_ms(1_000).await;
    assert_eq!(scene.memory.sweeper(), Some(process("me")));
    assert_eq!(scene.store.calls(Op::Abdicate), 1);
    // A reign that has just begun lasts 5 s, whatever was before it.
    pass_ms(4_000).await;
    assert_eq!(scene.store.calls(Op::Abdicate), 1);
    pass_ms(1_500).await;
    assert_eq!(scene.store.calls(Op::Abdicate), 2);
    // Once the queue is back, it reigns on.
    scene.queue.set(Line::Open);
    pass_ms(30_000).await;
    assert_eq!(scene.store.calls(Op::Abdicate), 2);
    assert_eq!(scene.memory.sweeper(), Some(process("me")));
}

#[tokio::test(start_paused = true)]
async fn a_sweeper_with_nothing_but_failing_publishes_finds_out_for_itself() {
    let scene = Scene::new();
    let _member = scene.join("me");
    pass_ms(1_000).await;
    scene.queue.set(Line::Blocked);
    admit_silently(&scene, "s").await;
    // Due after 3 s, silent for 5 s, and that for 5 s more.
    pass_ms(15_000).await;
    assert!(scene.store.calls(Op::Abdicate) >= 1);
}
