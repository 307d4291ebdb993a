//! Tests of the loop `gauge`: it reads the counts once a second. While the store is down, the last counts stay and grow
//! older.

use faulty_store::{StoreCall, StoreMode};
use std::{sync::Arc, time::Duration};

use forebay_runtime::gauge::Gauge;
use forebay_shared::class::Class;

use crate::scene::{Scene, finish, pass_ms};

#[tokio::test(start_paused = true)]
async fn counts_grow_old_while_the_store_is_down_and_are_fresh_again_afterwards() {
    let scene = Scene::new();
    scene.admit("s", "hello").await;
    let gauge = Arc::new(Gauge::default());
    assert!(gauge.counts().is_none());
    let (sampled_gauge, store) = (Arc::clone(&gauge), Arc::clone(&scene.store));
    tokio::spawn(async move { sampled_gauge.run(&*store).await });
    pass_ms(500).await;
    let (counts, age) = gauge.counts().unwrap();
    assert_eq!(counts.class(Class::Interactive).live.ready, 1);
    assert_eq!(age, Duration::from_millis(500));

    scene.store.set_mode(StoreMode::Down);
    pass_ms(4_000).await;
    let (counts, age) = gauge.counts().unwrap();
    assert_eq!(counts.live(), 1);
    assert_eq!(age, Duration::from_millis(4_500));
    assert_eq!(scene.store.call_count(StoreCall::Counts), 5);

    scene.store.set_mode(StoreMode::Up);
    pass_ms(1_000).await;
    assert_eq!(gauge.counts().unwrap().1, Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn the_drain_rate_covers_only_the_last_seconds() {
    let scene = Scene::new();
    let gauge = Arc::new(Gauge::default());
    let (sampled_gauge, store) = (Arc::clone(&gauge), Arc::clone(&scene.store));
    tokio::spawn(async move { sampled_gauge.run(&*store).await });
    for _ in 0..20 {
        let job = scene.admit("s", "hello").await;
        let fence = scene.claim("s", job).await;
        scene.apply(finish("s", job, fence, "reply")).await.unwrap();
        pass_ms(500).await;
    }
    let rate = gauge.drained_per_s(Class::Interactive);
    assert!((rate - 2.0).abs() < 0.3, "{rate} jobs per second");
    assert_eq!(gauge.expected_wait_ms(Class::Interactive), 0);
    pass_ms(20_000).await;
    assert!(gauge.drained_per_s(Class::Interactive).abs() < 1e-9);
}
