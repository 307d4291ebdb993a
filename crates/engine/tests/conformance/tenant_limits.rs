//! The limits of tenants, and the usage of these limits.

use std::collections::BTreeMap;

use forebay_shared::{
    ids::{ProcessId, TenantId},
    store::{LIMITED_TENANTS_MAX, Store, StoredUsage, UsageSwap, UsageVersion},
    tenant_limit::{LiveJobLimit, RequestLimit, TenantLimits, TenantUsage, UsageLease},
    time::TimeMs,
};
use tokio::task::JoinSet;

use crate::{
    harness::{Harness, wait_until},
    test_lane::{LONG_MS, TestLane, worker},
};

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// Usage that differs from others by this number.
fn usage(number: u64) -> TenantUsage {
    let lease = UsageLease {
        requests: number,
        live: 2,
        until: TimeMs(3),
        ..UsageLease::default()
    };
    let process: ProcessId = worker("gateway-1");
    TenantUsage {
        leases: BTreeMap::from([(process, lease)]),
        ..TenantUsage::default()
    }
}

fn swap(name: &str, expected: Option<UsageVersion>, number: u64) -> UsageSwap {
    UsageSwap {
        tenant: tenant(name),
        expected,
        version: UsageVersion::new_v4(),
        next: usage(number),
        ttl_ms: LONG_MS,
    }
}

/// The usage that the store holds after this swap.
fn after(swap: &UsageSwap) -> Option<StoredUsage> {
    Some(StoredUsage {
        version: swap.version,
        usage: swap.next.clone(),
    })
}

async fn read(store: &dyn Store, name: &str) -> Option<StoredUsage> {
    store.tenant_usage(&tenant(name)).await.unwrap()
}

pub(crate) async fn usage_is_replaced_only_if_it_has_the_expected_version(engine: impl Harness) {
    let store = engine.store();
    let store = store.as_ref();
    assert_eq!(read(store, "a").await, None);
    let created = swap("a", None, 1);
    let of_other = swap("b", None, 9);
    for swap in [&created, &created, &of_other] {
        assert!(store.swap_tenant_usage(swap).await.unwrap(), "{swap:?}");
    }
    assert_eq!(read(store, "a").await, after(&created));
    assert_eq!(read(store, "b").await, after(&of_other));
    let changed = swap("a", Some(created.version), 2);
    for swap in [&changed, &changed] {
        assert!(store.swap_tenant_usage(swap).await.unwrap());
    }
    for refused in [
        created,
        swap("a", None, 3),
        swap("a", Some(UsageVersion::new_v4()), 3),
        swap("c", Some(UsageVersion::new_v4()), 3),
    ] {
        let swapped = store.swap_tenant_usage(&refused).await.unwrap();
        assert!(!swapped, "{refused:?}");
        assert_eq!(read(store, "a").await, after(&changed));
    }
    assert_eq!(read(store, "c").await, None);
}

pub(crate) async fn usage_is_replaced_by_one_of_several_concurrent_swaps(engine: impl Harness) {
    let store = engine.store();
    let mut expected = None;
    for round in 0..5 {
        let mut swaps = JoinSet::new();
        for number in 0..16 {
            let swap = swap("a", expected, 100 * round + number);
            let store = store.clone();
            swaps.spawn(async move { (store.swap_tenant_usage(&swap).await.unwrap(), swap) });
        }
        let swaps = swaps.join_all().await.into_iter();
        let swaps: Vec<_> = swaps.filter(|(swapped, _)| *swapped).collect();
        let [(_, winner)] = &swaps[..] else {
            panic!("one swap should succeed, not {}", swaps.len());
        };
        assert_eq!(read(store.as_ref(), "a").await, after(winner));
        expected = Some(winner.version);
    }
}

pub(crate) async fn usage_expires(engine: impl Harness) {
    let store = engine.store();
    let kept = swap("kept", None, 1);
    let short = UsageSwap {
        ttl_ms: 50,
        ..swap("short", None, 1)
    };
    for swap in [&kept, &short] {
        assert!(store.swap_tenant_usage(swap).await.unwrap());
    }
    wait_until(async || read(store.as_ref(), "short").await.is_none()).await;
    let again = swap("short", None, 2);
    wait_until(async || store.swap_tenant_usage(&again).await.unwrap()).await;
    assert_eq!(read(store.as_ref(), "short").await, after(&again));
    assert_eq!(read(store.as_ref(), "kept").await, after(&kept));
}

pub(crate) async fn live_jobs_are_counted_by_tenant(engine: impl Harness) {
    let store = engine.store();
    let live = async |name: &str| store.live_jobs_of(&tenant(name)).await.unwrap();
    assert_eq!(live("a").await, 0);
    let session = TestLane::of_tenant(&store, tenant("a"), Some("s"));
    let first = session.admit().await;
    for count in 1..=3 {
        assert_eq!(live("a").await, count);
        session.admit().await;
    }
    // The name of this other tenant begins with the name of the first one.
    TestLane::of_tenant(&store, tenant("a.b"), None)
        .admit()
        .await;
    let fence = session.claim(first, "worker-1").await;
    assert_eq!(live("a").await, 4);
    session.finish(first, fence, &[]).await;
    assert_eq!((live("a").await, live("a.b").await), (3, 1));
    assert_eq!(live("default").await, 0);
}

fn limits(quota: u32) -> TenantLimits {
    TenantLimits {
        requests: Some(RequestLimit {
            quota,
            window_s: 60,
        }),
        live_jobs: Some(LiveJobLimit { quota: 2 * quota }),
        ..TenantLimits::default()
    }
}

pub(crate) async fn limits_are_stored_and_removed_and_have_a_version(mut engine: impl Harness) {
    let store = engine.store();
    assert_eq!(store.tenant_limits(None).await.unwrap(), None);
    let mut known = None;
    let mut all = BTreeMap::new();
    for (name, new) in [
        ("a", Some(limits(1))),
        ("b", Some(limits(2))),
        ("a", Some(limits(3))),
        ("b", None),
    ] {
        let name = tenant(name);
        assert!(store.set_tenant_limits(&name, new.as_ref()).await.unwrap());
        assert_eq!(store.tenant_limits_of(&name).await.unwrap(), new);
        match new {
            Some(new) => drop(all.insert(name, new)),
            None => drop(all.remove(&name)),
        }
        let read = store.tenant_limits(known).await.unwrap();
        let read = read.expect("the version has changed");
        assert_eq!(read.limits.into_iter().collect::<BTreeMap<_, _>>(), all);
        assert_eq!(read.unreadable, []);
        known = read.version;
        assert_eq!(store.tenant_limits(known).await.unwrap(), None);
    }
    // A removal without an effect keeps the version.
    let removed = store.set_tenant_limits(&tenant("b"), None).await.unwrap();
    assert!(!removed);
    assert_eq!(store.tenant_limits(known).await.unwrap(), None);
    drop(store);
    engine.restart().await;
    let store = engine.store();
    wait_until(async || store.tenant_limits_of(&tenant("a")).await.is_ok()).await;
    assert_eq!(store.tenant_limits(known).await.unwrap(), None);
    let stored = store.tenant_limits_of(&tenant("a")).await.unwrap();
    assert_eq!(stored, Some(limits(3)));
}

pub(crate) async fn limits_are_stored_for_a_bounded_number_of_tenants(engine: impl Harness) {
    let store = engine.store();
    let set = async |number: usize, limits: Option<TenantLimits>| {
        let name = tenant(&format!("t{number}"));
        store.set_tenant_limits(&name, limits.as_ref()).await
    };
    for first in (0..LIMITED_TENANTS_MAX).step_by(500) {
        let mut sets = JoinSet::new();
        for number in first..first + 500 {
            let store = store.clone();
            sets.spawn(async move {
                let name = tenant(&format!("t{number}"));
                store.set_tenant_limits(&name, Some(&limits(1))).await
            });
        }
        let results = sets.join_all().await;
        assert!(results.into_iter().all(|result| result.unwrap()));
    }
    assert!(!set(LIMITED_TENANTS_MAX, Some(limits(1))).await.unwrap());
    // Others can still change, and a removed one makes space.
    assert!(set(7, Some(limits(2))).await.unwrap());
    assert!(set(7, None).await.unwrap());
    assert!(set(LIMITED_TENANTS_MAX, Some(limits(1))).await.unwrap());
    let all = store.tenant_limits(None).await.unwrap();
    assert_eq!(all.unwrap().limits.len(), LIMITED_TENANTS_MAX);
}
