//! Presence, and the election of the sweeper.

use std::collections::BTreeSet;

use tokio::time::timeout;

use crate::{
    drive::{LONG_MS, worker},
    harness::{Harness, TIMEOUT, passed},
};

pub(crate) async fn expires_without_renewal(engine: impl Harness) {
    let store = engine.store();
    let (a, b) = (worker("a"), worker("b"));
    let before = store.now();
    let renewal = store.announce(&a, LONG_MS).await.unwrap();
    assert!(renewal.at >= before);
    assert_eq!(*renewal.alive, BTreeSet::from([a.clone()]));
    let renewal = store.announce(&b, LONG_MS).await.unwrap();
    assert_eq!(*renewal.alive, BTreeSet::from([a.clone(), b.clone()]));

    passed(store.as_ref(), store.now().plus_ms(50)).await;
    let renewal = store.announce(&b, 50).await.unwrap();
    assert_eq!(*renewal.alive, BTreeSet::from([b.clone()]));
    // A process that announces itself again is alive again.
    let renewal = store.announce(&a, LONG_MS).await.unwrap();
    assert_eq!(*renewal.alive, BTreeSet::from([a, b]));
}

pub(crate) async fn ends_with_a_withdrawal(engine: impl Harness) {
    let store = engine.store();
    let (a, b) = (worker("a"), worker("b"));
    store.announce(&a, LONG_MS).await.unwrap();
    store.announce(&b, LONG_MS).await.unwrap();
    store.withdraw(&a).await.unwrap();
    store.withdraw(&worker("never-there")).await.unwrap();
    let renewal = store.announce(&b, LONG_MS).await.unwrap();
    assert_eq!(*renewal.alive, BTreeSet::from([b]));
}

pub(crate) async fn elects_one_sweeper(engine: impl Harness) {
    let store = engine.store();
    let (a, b) = (worker("a"), worker("b"));
    assert!(store.elect_sweeper(&a, LONG_MS).await.unwrap());
    assert!(!store.elect_sweeper(&b, LONG_MS).await.unwrap());
    assert!(
        store.elect_sweeper(&a, LONG_MS).await.unwrap(),
        "the elected process renews its election"
    );
    store.step_down(&b).await.unwrap();
    assert!(!store.elect_sweeper(&b, LONG_MS).await.unwrap());
    store.step_down(&a).await.unwrap();
    assert!(store.elect_sweeper(&b, LONG_MS).await.unwrap());
    assert!(!store.elect_sweeper(&a, LONG_MS).await.unwrap());

    let mut candidates = tokio::task::JoinSet::new();
    store.step_down(&b).await.unwrap();
    for n in 0..8 {
        let store = store.clone();
        let me = worker(&format!("candidate-{n}"));
        candidates.spawn(async move { store.elect_sweeper(&me, LONG_MS).await.unwrap() });
    }
    let elected = candidates.join_all().await;
    assert_eq!(elected.into_iter().filter(|elected| *elected).count(), 1);
}

pub(crate) async fn elections_expire(engine: impl Harness) {
    let store = engine.store();
    assert!(store.elect_sweeper(&worker("a"), 40).await.unwrap());
    // A busy engine may report the end of the election late.
    let b = worker("b");
    let elected = async { while !store.elect_sweeper(&b, LONG_MS).await.unwrap_or(false) {} };
    let elected = timeout(TIMEOUT, elected).await;
    elected.expect("the election of a expires");
    assert!(!store.elect_sweeper(&worker("a"), LONG_MS).await.unwrap());
}
