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
    let live = store.renew_presence(&first, LONG_MS).await.unwrap();
    assert!(live.read_at >= before);
    assert_eq!(*live.alive, BTreeSet::from([first.clone()]));
    let live = store.renew_presence(&second, LONG_MS).await.unwrap();
    assert_eq!(*live.alive, BTreeSet::from([first.clone(), second.clone()]));

    wait_until_passed(store.as_ref(), store.now().plus_ms(50)).await;
    let live = store.renew_presence(&second, 50).await.unwrap();
    assert_eq!(*live.alive, BTreeSet::from([second.clone()]));
    // A process that renews its presence is alive again.
    let live = store.renew_presence(&first, LONG_MS).await.unwrap();
    assert_eq!(*live.alive, BTreeSet::from([first, second]));
}

pub(crate) async fn ends_on_request(engine: impl Harness) {
    let store = engine.store();
    let (first, second) = (worker("first"), worker("second"));
    store.renew_presence(&first, LONG_MS).await.unwrap();
    store.renew_presence(&second, LONG_MS).await.unwrap();
    store.end_presence(&first).await.unwrap();
    store.end_presence(&worker("never-present")).await.unwrap();
    let live = store.renew_presence(&second, LONG_MS).await.unwrap();
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
    store.end_term(&second).await.unwrap();
    assert!(!store.elect_sweeper(&second, LONG_MS).await.unwrap());
    store.end_term(&first).await.unwrap();
    assert!(store.elect_sweeper(&second, LONG_MS).await.unwrap());
    assert!(!store.elect_sweeper(&first, LONG_MS).await.unwrap());

    let mut candidates = tokio::task::JoinSet::new();
    store.end_term(&second).await.unwrap();
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
    // A busy engine may end the term late.
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
