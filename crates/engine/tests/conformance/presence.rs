//! Presence, and the election of the sweeper.

use std::collections::BTreeSet;

use tokio::time::timeout;

use crate::{
    harness::{Harness, TIMEOUT, wait_until_passed},
    test_lane::{LONG_MS, worker},
};

pub(crate) async fn expires_unless_it_is_renewed(engine: impl Harness) {
    let store = engine.store();
    let (first, second) = (worker("first"), worker("second"));
    let before = store.now();
    let live = store.announce(&first, LONG_MS).await.unwrap();
    assert!(live.at >= before);
    assert_eq!(*live.alive, BTreeSet::from([first.clone()]));
    let live = store.announce(&second, LONG_MS).await.unwrap();
    assert_eq!(*live.alive, BTreeSet::from([first.clone(), second.clone()]));

    wait_until_passed(store.as_ref(), store.now().plus_ms(50)).await;
    let live = store.announce(&second, 50).await.unwrap();
    assert_eq!(*live.alive, BTreeSet::from([second.clone()]));
    // A process that announces itself again is alive again.
    let live = store.announce(&first, LONG_MS).await.unwrap();
    assert_eq!(*live.alive, BTreeSet::from([first, second]));
}

pub(crate) async fn ends_with_a_withdrawal(engine: impl Harness) {
    let store = engine.store();
    let (first, second) = (worker("first"), worker("second"));
    store.announce(&first, LONG_MS).await.unwrap();
    store.announce(&second, LONG_MS).await.unwrap();
    store.withdraw(&first).await.unwrap();
    store.withdraw(&worker("never-announced")).await.unwrap();
    let live = store.announce(&second, LONG_MS).await.unwrap();
    assert_eq!(*live.alive, BTreeSet::from([second]));
}

pub(crate) async fn elects_one_sweeper(engine: impl Harness) {
    let store = engine.store();
    let (first, second) = (worker("first"), worker("second"));
    assert!(store.elect_sweeper(&first, LONG_MS).await.unwrap());
    assert!(!store.elect_sweeper(&second, LONG_MS).await.unwrap());
    assert!(
        store.elect_sweeper(&first, LONG_MS).await.unwrap(),
        "the sweeper could not extend its term"
    );
    store.step_down(&second).await.unwrap();
    assert!(!store.elect_sweeper(&second, LONG_MS).await.unwrap());
    store.step_down(&first).await.unwrap();
    assert!(store.elect_sweeper(&second, LONG_MS).await.unwrap());
    assert!(!store.elect_sweeper(&first, LONG_MS).await.unwrap());

    let mut candidates = tokio::task::JoinSet::new();
    store.step_down(&second).await.unwrap();
    for number in 0..8 {
        let store = store.clone();
        let candidate = worker(&format!("candidate-{number}"));
        candidates.spawn(async move { store.elect_sweeper(&candidate, LONG_MS).await.unwrap() });
    }
    let elected = candidates.join_all().await;
    assert_eq!(elected.into_iter().filter(|elected| *elected).count(), 1);
}

pub(crate) async fn ends_the_term_of_a_sweeper_that_does_not_renew_it(engine: impl Harness) {
    let store = engine.store();
    assert!(store.elect_sweeper(&worker("first"), 40).await.unwrap());
    // A busy engine may notice the end of the term late.
    let second = worker("second");
    let elected = async { while !store.elect_sweeper(&second, LONG_MS).await.unwrap_or(false) {} };
    let elected = timeout(TIMEOUT, elected).await;
    elected.expect("the first sweeper's term does not end");
    assert!(
        !store
            .elect_sweeper(&worker("first"), LONG_MS)
            .await
            .unwrap()
    );
}
