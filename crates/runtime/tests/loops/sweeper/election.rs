//! One process of the fleet is the sweeper. It ends its term when it cannot publish.

use crate::{
    queue::QueueMode,
    scene::{Scene, TIMEOUT, let_tasks_run, new_job_id, pass_ms, process},
};
use faulty_store::{StoreCall, StoreMode};

#[tokio::test(start_paused = true)]
async fn another_process_sweeps_after_the_sweeper_has_died() {
    let scene = Scene::new();
    let first = scene.join("first");
    pass_ms(100).await;
    let _second = scene.join("second");
    pass_ms(10_000).await;
    assert_eq!(scene.inner_store.sweeper(), Some(process("first")));
    // As if the process had died without ending its term.
    first.leave().await;
    let until = scene.now().plus_ms(2_000);
    scene
        .inner_store
        .state()
        .elect_until(process("first"), until);
    let sweeps = scene.store.call_count(StoreCall::DueTimers);
    pass_ms(1_900).await;
    assert_eq!(scene.store.call_count(StoreCall::DueTimers), sweeps);
    pass_ms(1_200).await;
    assert_eq!(scene.inner_store.sweeper(), Some(process("second")));
}

#[tokio::test(start_paused = true)]
async fn no_process_sweeps_before_its_presence_is_stored() {
    let scene = Scene::new();
    scene.store.set_mode(StoreMode::Down);
    let _member = scene.join("me");
    pass_ms(5_000).await;
    assert_eq!(scene.store.call_count(StoreCall::ElectSweeper), 0);
    scene.store.set_mode(StoreMode::Up);
    pass_ms(1_500).await;
    assert_eq!(scene.inner_store.sweeper(), Some(process("me")));
}

#[tokio::test(start_paused = true)]
async fn a_sweeper_that_cannot_publish_ends_its_term_and_is_elected_again_later() {
    let scene = Scene::new();
    let member = scene.join("me");
    pass_ms(10_000).await;
    scene.queue.set_mode(QueueMode::Down);
    let change = scene.admission("s", new_job_id("s"), "hello");
    member.lanes.apply(change, TIMEOUT).await.unwrap();
    let_tasks_run().await;
    pass_ms(4_700).await;
    assert_eq!(scene.store.call_count(StoreCall::EndTerm), 0);
    assert_eq!(scene.inner_store.sweeper(), Some(process("me")));
    pass_ms(700).await;
    assert_eq!(scene.store.call_count(StoreCall::EndTerm), 1);
    assert_eq!(scene.inner_store.sweeper(), None);
    // The process takes part in no election for 4 s, so that another process can be elected. Then it takes part again,
    // because it may be the only process.
    pass_ms(3_300).await;
    assert_eq!(scene.inner_store.sweeper(), None);
    pass_ms(1_000).await;
    assert_eq!(scene.inner_store.sweeper(), Some(process("me")));
    assert_eq!(scene.store.call_count(StoreCall::EndTerm), 1);
    // A new term lasts for at least 5 s, whatever happened before it.
    pass_ms(4_000).await;
    assert_eq!(scene.store.call_count(StoreCall::EndTerm), 1);
    pass_ms(1_500).await;
    assert_eq!(scene.store.call_count(StoreCall::EndTerm), 2);
    // Once the queue has recovered, the term continues.
    scene.queue.set_mode(QueueMode::Up);
    pass_ms(30_000).await;
    assert_eq!(scene.store.call_count(StoreCall::EndTerm), 2);
    assert_eq!(scene.inner_store.sweeper(), Some(process("me")));
}

#[tokio::test(start_paused = true)]
async fn a_sweeper_whose_publishes_are_never_confirmed_ends_its_term() {
    let scene = Scene::new();
    let _member = scene.join("me");
    pass_ms(1_000).await;
    scene.queue.set_mode(QueueMode::Blocked);
    scene.admit_without_wake("s").await;
    // The timer is due after 3 s. The publish fails 5 s later. After 5 s more, the sweeper ends its term.
    pass_ms(15_000).await;
    assert!(scene.store.call_count(StoreCall::EndTerm) >= 1);
}
