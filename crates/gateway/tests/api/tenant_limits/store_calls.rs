//! Permits are leased in batches, so most requests cost no call of the store. The batches do not make the limit
//! smaller.

use std::{sync::Arc, time::Duration};

use faulty_store::StoreCall;
use tokio::task::JoinSet;

use super::{SHOP, WithLimits, expect_refused};
use crate::fixture::{ApiResponse, repeat_until};

/// A burst makes few calls of the store, and gets what the limit allows.
#[tokio::test]
async fn a_burst_shares_the_calls_of_the_store() {
    let api = WithLimits::start("requests=100000/60 live=200").await;
    let api = Arc::new(api);
    let mut burst = JoinSet::new();
    for _ in 0..400 {
        let api = Arc::clone(&api);
        burst.spawn(async move { api.submit(SHOP).await });
    }
    let answers = burst.join_all().await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    // A job that is admitted slowly counts twice for a moment, so on a busy machine a few jobs less may be accepted.
    assert!((190..=200).contains(&accepted), "{accepted}");
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        expect_refused(refused, "live");
    }
    let store = &api.gateway.store;
    let (counted, swapped) = (
        store.call_count(StoreCall::LiveJobsOf),
        store.call_count(StoreCall::SwapTenantUsage),
    );
    assert!(
        counted < 100 && swapped < 100,
        "{counted} and {swapped} calls"
    );
    // Now no job is being admitted, so the rest of the limit is free.
    let is_accepted = |response: &ApiResponse| response.status == 202;
    for _ in accepted..200 {
        repeat_until(|| api.submit(SHOP), is_accepted).await;
    }
    assert_eq!(api.gateway.live_jobs().await, 200);
    // A tenant at its limit asks the store at most every 50 ms.
    let before = store.call_count(StoreCall::LiveJobsOf);
    let began = std::time::Instant::now();
    for _ in 0..100 {
        expect_refused(&api.submit(SHOP).await, "live");
    }
    let calls = store.call_count(StoreCall::LiveJobsOf) - before;
    let calls_max = 2 + 2 * began.elapsed().as_millis() / 50;
    assert!(
        calls as u128 <= calls_max,
        "{calls} calls, at most {calls_max}"
    );
}

/// A gateway returns permits that it has leased and does not need. They are not spent.
#[tokio::test]
async fn bursts_with_pauses_get_the_whole_limit() {
    const QUOTA: u32 = 200;
    let api = WithLimits::start(&format!("requests={QUOTA}/600")).await;
    let store = &api.gateway.store;
    let calls = || store.call_count(StoreCall::SwapTenantUsage);
    let mut accepted = 0;
    'bursts: loop {
        for _ in 0..20 {
            if api.submit(SHOP).await.status != 202 {
                break 'bursts;
            }
            accepted += 1;
        }
        let before = calls();
        let returned = async {
            while calls() == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // After some bursts there is nothing to return.
        let _ = tokio::time::timeout(Duration::from_secs(1), returned).await;
    }
    assert!(
        (QUOTA * 95 / 100..=QUOTA).contains(&accepted),
        "{accepted} of {QUOTA}"
    );
}

#[tokio::test]
async fn most_requests_cost_no_call_of_the_store() {
    let api = WithLimits::start("requests=1000000/60 live=100000").await;
    for _ in 0..200 {
        api.submit(SHOP).await.expect(202);
    }
    let store = &api.gateway.store;
    for call in [
        StoreCall::TenantUsage,
        StoreCall::LiveJobsOf,
        StoreCall::SwapTenantUsage,
    ] {
        let calls = store.call_count(call);
        assert!(calls < 50, "{calls} calls of {call:?}");
    }
}
