//! The accounts of providers: a compare-and-set of documents that are bounded in number.

use forebay_shared::{
    account::{Account, AccountKey},
    ids::JobId,
    store::{ACCOUNTS_MAX, AccountSwap, AccountVersion, Notices, Store, StoredAccount, Topic},
};
use tokio::{task::JoinSet, time::timeout};

use crate::harness::{Harness, TIMEOUT};

/// An account that differs from others by its mark.
fn account(mark: u64) -> Account {
    let mut account = serde_json::to_value(Account::default()).unwrap();
    account["mark"] = mark.into();
    serde_json::from_value(account).unwrap()
}

fn swap(name: &str, expected: Option<AccountVersion>, next: Option<Account>) -> AccountSwap {
    AccountSwap {
        key: AccountKey::of_provider(name),
        expected,
        version: AccountVersion::new_v4(),
        next,
    }
}

/// The account that the store holds after this swap.
fn after(swap: &AccountSwap) -> StoredAccount {
    StoredAccount {
        key: swap.key.clone(),
        version: swap.version,
        account: swap.next.clone().expect("the swap writes an account"),
    }
}

async fn all(store: &dyn Store) -> Vec<StoredAccount> {
    let read = store.accounts().await.unwrap();
    assert!(read.unreadable.is_empty(), "{:?}", read.unreadable);
    let mut accounts = read.accounts;
    accounts.sort_by(|one, other| one.key.cmp(&other.key));
    accounts
}

pub(crate) async fn are_written_and_removed(engine: impl Harness) {
    let store = engine.store();
    assert_eq!(all(store.as_ref()).await, []);
    let created = swap("a", None, Some(account(1)));
    let mut other = swap("b", None, Some(account(2)));
    other.key = AccountKey::of_model("a", "m;|\n x");
    for swap in [&created, &other] {
        assert!(store.swap_account(swap).await.unwrap());
    }
    assert_eq!(all(store.as_ref()).await, [after(&created), after(&other)]);
    let changed = swap("a", Some(created.version), Some(account(3)));
    assert!(store.swap_account(&changed).await.unwrap());
    assert_eq!(all(store.as_ref()).await, [after(&changed), after(&other)]);
    let removed = swap("a", Some(changed.version), None);
    assert!(store.swap_account(&removed).await.unwrap());
    assert_eq!(all(store.as_ref()).await, [after(&other)]);
    let created_again = swap("a", None, Some(account(4)));
    assert!(store.swap_account(&created_again).await.unwrap());
    assert_eq!(all(store.as_ref()).await[0], after(&created_again));
}

pub(crate) async fn keep_a_newer_state(engine: impl Harness) {
    let store = engine.store();
    let stored = swap("a", None, Some(account(1)));
    assert!(store.swap_account(&stored).await.unwrap());
    let unknown = Some(AccountVersion::new_v4());
    for refused in [
        swap("a", None, Some(account(2))),
        swap("a", None, None),
        swap("a", unknown, Some(account(2))),
        swap("a", unknown, None),
        swap("b", unknown, Some(account(2))),
        swap("b", unknown, None),
    ] {
        let swapped = store.swap_account(&refused).await.unwrap();
        assert!(!swapped, "{refused:?}");
        assert_eq!(all(store.as_ref()).await, [after(&stored)]);
    }
}

pub(crate) async fn accept_a_repeated_swap(engine: impl Harness) {
    let store = engine.store();
    let created = swap("a", None, Some(account(1)));
    let changed = swap("a", Some(created.version), Some(account(2)));
    for swap in [&created, &created, &changed, &changed] {
        assert!(store.swap_account(swap).await.unwrap());
        assert_eq!(all(store.as_ref()).await, [after(swap)]);
    }
    // A newer swap has replaced this one.
    assert!(!store.swap_account(&created).await.unwrap());
    assert_eq!(all(store.as_ref()).await, [after(&changed)]);
}

pub(crate) async fn accept_one_of_several_concurrent_swaps(engine: impl Harness) {
    let store = engine.store();
    let mut expected = None;
    for round in 0..5 {
        let mut swaps = JoinSet::new();
        for number in 0..16 {
            let swap = swap("a", expected, Some(account(100 * round + number)));
            let store = store.clone();
            swaps.spawn(async move { (store.swap_account(&swap).await.unwrap(), swap) });
        }
        let swaps = swaps.join_all().await.into_iter();
        let swaps: Vec<_> = swaps.filter(|(swapped, _)| *swapped).collect();
        let [(_, winner)] = &swaps[..] else {
            panic!("one swap should succeed, not {}", swaps.len());
        };
        assert_eq!(all(store.as_ref()).await, [after(winner)]);
        expected = Some(winner.version);
    }
}

pub(crate) async fn are_limited_in_number(engine: impl Harness) {
    let store = engine.store();
    let mut swaps = JoinSet::new();
    for number in 0..ACCOUNTS_MAX {
        let store = store.clone();
        let swap = swap(&format!("p{number}"), None, Some(account(1)));
        swaps.spawn(async move { (store.swap_account(&swap).await.unwrap(), swap) });
    }
    let swaps = swaps.join_all().await;
    assert!(swaps.iter().all(|(swapped, _)| *swapped));
    let surplus = swap("surplus", None, Some(account(2)));
    assert!(!store.swap_account(&surplus).await.unwrap());
    assert_eq!(all(store.as_ref()).await.len(), ACCOUNTS_MAX);
    // An account that exists can still change, and a removed account makes space.
    let (_, first) = &swaps[0];
    let mut changed = swap("x", Some(first.version), Some(account(3)));
    changed.key = first.key.clone();
    assert!(store.swap_account(&changed).await.unwrap());
    let mut removed = swap("x", Some(changed.version), None);
    removed.key = first.key.clone();
    assert!(store.swap_account(&removed).await.unwrap());
    assert!(store.swap_account(&surplus).await.unwrap());
}

async fn next(notices: &mut Notices) -> Option<JobId> {
    let next = timeout(TIMEOUT, notices.next()).await;
    next.expect("no notice came before the timeout")
}

pub(crate) async fn send_a_notice_for_each_swap(engine: impl Harness) {
    let store = engine.store();
    let mut watchers = [
        store.watch(Topic::Accounts).await.unwrap(),
        store.watch(Topic::Accounts).await.unwrap(),
    ];
    let created = swap("a", None, Some(account(1)));
    let changed = swap("a", Some(created.version), Some(account(2)));
    let removed = swap("a", Some(changed.version), None);
    for swap in [&created, &changed, &removed] {
        assert!(store.swap_account(swap).await.unwrap());
        for watcher in &mut watchers {
            assert_eq!(next(watcher).await, Some(JobId::NIL));
        }
    }
    // A refused swap sends none.
    assert!(!store.swap_account(&changed).await.unwrap());
    let further = timeout(std::time::Duration::from_millis(20), watchers[0].next()).await;
    assert!(
        !matches!(further, Ok(Some(_))),
        "the refused swap sent a notice: {further:?}"
    );
}
