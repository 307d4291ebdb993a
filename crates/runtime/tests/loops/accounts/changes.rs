//! Changes by compare-and-set: conflicts with another process, lost responses, and a store that fails.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use faulty_store::{Fault, StoreCall, StoreMode};
use forebay_runtime::accounts::{Accounts, AccountsLoop};
use forebay_shared::{
    account::{AccountEvent, AccountKey, ClosedBy, ConfiguredLimits},
    ids::{JobId, TenantId},
    job::JobError,
    store::{ACCOUNTS_MAX, AccountSwap, AccountVersion, Store as _, StoreError},
};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Processes, is_closed, model, provider};
use crate::scene::{pass_ms, process};

#[tokio::test(start_paused = true)]
async fn two_processes_never_take_more_permits_than_there_are() {
    let processes = Processes::start().await;
    processes.limit_concurrency(&provider(), 10).await;
    let key = provider();
    let take = |accounts: &Accounts| {
        let accounts = accounts.clone();
        let key = key.clone();
        async move { accounts.take([&key].into_iter(), None).await }
    };
    let takes = (0..40).map(|n| {
        let is_mine = n % 2 == 0;
        tokio::spawn(take(if is_mine {
            &processes.me
        } else {
            &processes.other
        }))
    });
    let taken = join_all(takes).await;
    let mut permits: Vec<_> = taken
        .into_iter()
        .filter_map(|taken| taken.unwrap().ok())
        .collect();
    assert_eq!(permits.len(), 10);
    let counted = processes.in_flight(&key, "me") + processes.in_flight(&key, "other");
    assert_eq!(counted, 10);
    for freed in permits.drain(..4) {
        freed.end().await;
    }
    pass_ms(50).await;
    assert_eq!(processes.me.available(&key, 100), 4);
    assert_eq!(processes.other.available(&key, 100), 4);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_conflicts_is_made_again_on_the_newer_account() {
    let processes = Processes::start().await;
    let key = provider();
    processes.limit_concurrency(&key, 10).await;
    let (other, of_other) = (processes.other.clone(), key.clone());
    let interferes = async move {
        let permits = other.take([&of_other].into_iter(), None).await;
        // The call of the other process runs on.
        std::mem::forget(permits);
    };
    let fault = Fault::After(Box::pin(interferes));
    processes.scene.store.plan(StoreCall::SwapAccount, [fault]);
    let permits = processes.me.take([&key].into_iter(), None).await.unwrap();
    assert_eq!(processes.scene.store.call_count(StoreCall::SwapAccount), 2);
    assert_eq!(processes.in_flight(&key, "me"), 1);
    assert_eq!(processes.in_flight(&key, "other"), 1);
    permits.end().await;
    assert_eq!(processes.in_flight(&key, "me"), 0);
    assert_eq!(processes.in_flight(&key, "other"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_response_takes_no_second_permit() {
    let processes = Processes::start().await;
    let key = provider();
    processes.limit_concurrency(&key, 2).await;
    processes
        .scene
        .store
        .plan(StoreCall::SwapAccount, [Fault::LoseResponse]);
    let _permits = processes.me.take([&key].into_iter(), None).await.unwrap();
    assert!(processes.scene.store.failure_count() > 0);
    assert_eq!(processes.in_flight(&key, "me"), 1);
    pass_ms(5_000).await;
    assert_eq!(processes.in_flight(&key, "me"), 1);
}

#[tokio::test(start_paused = true)]
async fn many_events_of_one_account_cost_few_changes() {
    let processes = Processes::start().await;
    let key = model();
    let refused = (0..500).map(|_| {
        let refusal = processes.refusal(ClosedBy::RateLimit, Some(60_000));
        processes.me.apply(&key, refusal)
    });
    let decisions = join_all(refused).await;
    assert!(
        decisions
            .into_iter()
            .all(|decision| decision.unwrap().spares_try)
    );
    assert!(is_closed(&processes.stored(&key)));
    let swaps = processes.scene.store.call_count(StoreCall::SwapAccount);
    assert!((1..=2).contains(&swaps), "{swaps} changes");
}

#[tokio::test(start_paused = true)]
async fn three_jobs_in_a_row_with_server_errors_close_an_account_also_from_two_processes() {
    let processes = Processes::start().await;
    let key = provider();
    let jobs: Vec<JobId> = (0..3)
        .map(|_| JobId::fresh(&TenantId::default(), None))
        .collect();
    let failure = |job: JobId| AccountEvent::ServerError {
        job,
        taken_at: processes.scene.now(),
        error: JobError::new("provider_error", "the server failed"),
        random: 0.5,
    };
    for (job, process) in [
        (jobs[0], &processes.me),
        (jobs[1], &processes.other),
        (jobs[1], &processes.me),
    ] {
        let decision = process.apply(&key, failure(job)).await.unwrap();
        assert!(!decision.spares_try);
        pass_ms(50).await;
    }
    assert!(!is_closed(&processes.stored(&key)));
    let decision = processes.me.apply(&key, failure(jobs[2])).await.unwrap();
    assert!(decision.spares_try);
    assert!(is_closed(&processes.stored(&key)));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_respond_delays_a_call_by_seconds_at_most() {
    for mode in [StoreMode::Hanging, StoreMode::Down] {
        let processes = Processes::start().await;
        let key = provider();
        processes.limit_concurrency(&key, 10).await;
        processes.scene.store.set_mode(mode);
        let began = Instant::now();
        let taken = processes.me.take([&key].into_iter(), None).await;
        assert!(taken.is_ok(), "the call is allowed in {mode:?}");
        assert!(
            began.elapsed() <= Duration::from_secs(4),
            "{:?}",
            began.elapsed()
        );
        processes.scene.store.set_mode(StoreMode::Up);
        taken.unwrap().end().await;
        pass_ms(12_000).await;
        assert_eq!(processes.in_flight(&key, "me"), 0, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_beyond_the_most_that_the_store_keeps_fails_at_once() {
    let processes = Processes::start().await;
    let account = {
        processes.limit_concurrency(&provider(), 1).await;
        processes.stored(&provider())
    };
    for n in 1..ACCOUNTS_MAX {
        let swap = AccountSwap {
            key: AccountKey::of_model("acme", &n.to_string()),
            expected: None,
            version: AccountVersion::new_v4(),
            next: Some(account.clone()),
        };
        assert!(
            processes
                .scene
                .inner_store
                .swap_account(&swap)
                .await
                .unwrap()
        );
    }
    let refusal = processes.refusal(ClosedBy::RateLimit, None);
    let key = AccountKey::of_model("acme", "one too many");
    let result = processes.me.apply(&key, refusal).await;
    assert!(matches!(result, Err(StoreError::Full)), "{result:?}");
    assert_eq!(processes.scene.store.call_count(StoreCall::SwapAccount), 1);
}

#[tokio::test(start_paused = true)]
async fn limits_of_the_configuration_are_set_changed_and_removed() {
    let processes = Processes::start().await;
    let me = Arc::new(processes.me.clone());
    let limits = |requests_per_minute| ConfiguredLimits {
        requests_per_minute: Some(requests_per_minute),
        ..ConfiguredLimits::default()
    };
    for rate in [600, 60] {
        let configured = [(provider(), limits(rate))].into();
        for _ in 0..3 {
            me.configure(&configured, |name| name == "acme")
                .await
                .unwrap();
        }
        assert_eq!(processes.stored(&provider()).configured, limits(rate));
    }
    assert_eq!(processes.scene.store.call_count(StoreCall::SwapAccount), 2);
    // A worker whose configuration lacks the provider leaves its limits alone.
    let none = [].into();
    me.configure(&none, |_| false).await.unwrap();
    assert_eq!(processes.stored(&provider()).configured, limits(60));
    me.configure(&none, |name| name == "acme").await.unwrap();
    assert!(processes.stored(&provider()).configured.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_the_process_that_started_last_hold_without_changes_back_and_forth() {
    let processes = Processes::start().await;
    let newer = Accounts::new(processes.scene.inner_store.clone(), process("a-newer"));
    let _loop = tokio::spawn(AccountsLoop::new(newer.clone()).run());
    pass_ms(50).await;
    let limits = |requests_per_minute| ConfiguredLimits {
        requests_per_minute: Some(requests_per_minute),
        ..ConfiguredLimits::default()
    };
    let of_older = [(provider(), limits(600))].into();
    let mut versions = Vec::new();
    let mut configure = async |of_newer: &BTreeMap<AccountKey, ConfiguredLimits>| {
        for _ in 0..10 {
            let is_known = |name: &str| name == "acme";
            let older = processes.me.configure(&of_older, is_known);
            older.await.unwrap();
            newer.configure(of_newer, is_known).await.unwrap();
            pass_ms(1_000).await;
            let version = processes.scene.inner_store.state().accounts[&provider()].version;
            versions.push(version);
        }
        versions.dedup();
        versions.len()
    };
    assert_eq!(configure(&[(provider(), limits(60))].into()).await, 1);
    assert_eq!(processes.stored(&provider()).configured, limits(60));
    // The newer process has no limit.
    assert_eq!(configure(&BTreeMap::new()).await, 2);
    assert!(processes.stored(&provider()).configured.is_empty());
    // The newer process is gone.
    let process = process("a-newer");
    let gone = AccountEvent::ProcessGone { process };
    processes.other.apply(&provider(), gone).await.unwrap();
    pass_ms(50).await;
    let is_known = |name: &str| name == "acme";
    let older = processes.me.configure(&of_older, is_known);
    older.await.unwrap();
    assert_eq!(processes.stored(&provider()).configured, limits(600));
}
