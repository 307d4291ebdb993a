//! When a process reads the accounts. Accounts without limits cost no other call of the store.

use faulty_store::{Fault, StoreCall, StoreMode};
use forebay_shared::{
    account::{AccountKey, ClosedBy, ConfiguredLimits, ReportedLimit, ReportedLimits},
    store::Store as _,
};

use super::{Processes, model, provider};
use crate::scene::pass_ms;

#[tokio::test(start_paused = true)]
async fn without_a_limit_calls_cost_no_request_to_the_store() {
    let processes = Processes::start().await;
    let (me, store) = (&processes.me, &processes.scene.store);
    let reads = store.call_count(StoreCall::Accounts);
    let limits = ReportedLimits {
        requests: Some(ReportedLimit {
            limit: 100,
            remaining: 90,
            reset_ms: 1_000,
        }),
        tokens: None,
    };
    for n in 0..1_000 {
        let keys = [provider(), AccountKey::of_model("acme", &n.to_string())];
        let started_at = processes.scene.now();
        let permits = me.take(keys.iter(), None).await.unwrap();
        pass_ms(10).await;
        for key in &keys {
            me.answered(key, started_at, Some(1_000), Some(limits));
        }
        permits.end().await;
        assert_eq!(me.available(&keys[0], 7), 7);
        let more_wait = false;
        assert_eq!(me.take_for_wakes(&keys[1], 7, more_wait).await.unwrap(), 7);
    }
    assert_eq!(store.call_count(StoreCall::SwapAccount), 0);
    let reads = store.call_count(StoreCall::Accounts) - reads;
    assert!((9..=11).contains(&reads), "{reads} reads in 10 s");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_closes_is_known_to_all_after_a_notice() {
    let processes = Processes::start().await;
    let refusal = processes.refusal(ClosedBy::Unavailable, Some(60_000));
    processes.other.apply(&provider(), refusal).await.unwrap();
    pass_ms(50).await;
    assert_eq!(processes.me.available(&provider(), 5), 0);
    let denied = processes
        .me
        .take([&model(), &provider()].into_iter(), None)
        .await;
    let denied = denied.err().expect("the provider's account is closed");
    assert_eq!(
        (denied.account, denied.error.code.as_str()),
        (provider(), "planned")
    );
}

#[tokio::test(start_paused = true)]
async fn an_account_that_closes_is_known_to_all_within_a_second_without_notices() {
    let processes = Processes::start().await;
    let store = &processes.scene.store;
    // The notices end, and the topic cannot be watched again.
    store.plan(StoreCall::Watch, (0..1_000).map(|_| Fault::Broken));
    processes.scene.inner_store.end_account_notices();
    pass_ms(3_000).await;
    let reads = store.call_count(StoreCall::Accounts);
    pass_ms(500).await;
    let refusal = processes.refusal(ClosedBy::Unavailable, Some(60_000));
    processes.other.apply(&provider(), refusal).await.unwrap();
    pass_ms(1_050).await;
    assert_eq!(processes.me.available(&provider(), 5), 0);
    let reads = store.call_count(StoreCall::Accounts) - reads;
    assert!((1..=2).contains(&reads), "{reads} reads in 1.6 s");
}

#[tokio::test(start_paused = true)]
async fn many_notices_cost_few_reads() {
    let processes = Processes::start().await;
    let store = &processes.scene.store;
    let reads = store.call_count(StoreCall::Accounts);
    for n in 0..500 {
        let refusal = processes.refusal(ClosedBy::Unavailable, None);
        let key = AccountKey::of_provider(&n.to_string());
        processes.other.apply(&key, refusal).await.unwrap();
    }
    pass_ms(200).await;
    let reads = store.call_count(StoreCall::Accounts) - reads;
    assert!((1..=10).contains(&reads), "{reads} reads for 500 notices");
    assert_eq!(processes.me.all().len(), 500);
}

#[tokio::test(start_paused = true)]
async fn reads_go_on_after_an_outage_of_the_store() {
    let processes = Processes::start().await;
    let store = &processes.scene.store;
    for mode in [StoreMode::Down, StoreMode::Hanging] {
        store.set_mode(mode);
        pass_ms(10_000).await;
        let key = AccountKey::of_provider(&format!("{mode:?}"));
        let refusal = processes.refusal(ClosedBy::Unavailable, Some(3_600_000));
        processes.other.apply(&key, refusal).await.unwrap();
        assert_eq!(processes.me.available(&key, 1), 1);
        store.set_mode(StoreMode::Up);
        pass_ms(1_100).await;
        assert_eq!(processes.me.available(&key, 1), 0, "after {mode:?}");
    }
    assert_eq!(
        processes
            .scene
            .inner_store
            .accounts()
            .await
            .unwrap()
            .accounts
            .len(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_be_read_hides_no_others_and_is_not_changed() {
    let processes = Processes::start().await;
    let (unreadable, readable) = (provider(), AccountKey::of_provider("other"));
    processes.limit_concurrency(&readable, 3).await;
    processes.limit_concurrency(&unreadable, 3).await;
    let stored = |key| {
        processes
            .scene
            .inner_store
            .state()
            .accounts
            .get(key)
            .cloned()
    };
    let before = stored(&unreadable);
    let hidden = [unreadable.clone()].into();
    processes.scene.inner_store.state().unreadable_accounts = hidden;
    let (me, store) = (&processes.me, &processes.scene.store);
    // The process has not noticed yet that it can no longer read the account.
    let permits = me.take([&unreadable].into_iter(), None).await.unwrap();
    permits.end().await;
    assert_eq!(me.all().len(), 1);
    assert_eq!(me.available(&readable, 9), 3);
    assert_eq!(me.available(&unreadable, 9), 9);
    let swaps = store.call_count(StoreCall::SwapAccount);
    let refusal = processes.refusal(ClosedBy::Unavailable, None);
    let decision = me.apply(&unreadable, refusal).await.unwrap();
    // No closing is recorded, so the failure spends a try. Otherwise the job would call the provider in a loop.
    assert!(!decision.spares_try);
    let limits = [(unreadable.clone(), ConfiguredLimits::default())].into();
    me.configure(&limits, |_| false).await.unwrap();
    me.remove_forgettable().await.unwrap();
    assert_eq!(store.call_count(StoreCall::SwapAccount), swaps);
    assert_eq!(stored(&unreadable), before);
    // It is readable again, for example after an upgrade of this process.
    processes
        .scene
        .inner_store
        .state()
        .unreadable_accounts
        .clear();
    pass_ms(1_100).await;
    assert_eq!(me.available(&unreadable, 9), 3);
}
