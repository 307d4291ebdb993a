//! The calls of this process, by account. They correct the count of calls in flight in the store, which becomes wrong when
//! permits or events are lost.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use forebay_shared::{account::AccountKey, wake::WakePermit};
use tokio::time::Instant;

/// How long a permit that was taken for a wake counts for this process. This is longer than the permit is valid. So the
/// permit of a lost wake becomes free only when no worker can use it any more.
const WAKE_PERMIT_COUNTS_FOR: Duration = Duration::from_millis(5 * WakePermit::VALID_MS);

/// The calls of this process.
#[derive(Default)]
pub(super) struct Calls {
    by_account: Mutex<HashMap<AccountKey, AccountCalls>>,
}

/// The calls of one account.
#[derive(Default)]
struct AccountCalls {
    /// The calls that have begun and whose ends are not recorded yet. A call begins before its permit is taken.
    begun: u32,
    /// The calls of `begun` that are certainly counted in the store.
    counted: u32,
    /// The permits for wakes, with the times at which they were taken.
    wake_permits: VecDeque<(Instant, u32)>,
}

impl Calls {
    /// Records that a call begins. Its permit is taken afterwards.
    pub(super) fn begin(&self, key: &AccountKey) {
        self.change(key, |calls| calls.begun += 1);
    }

    /// Records that the store counts a call.
    pub(super) fn record_counted(&self, key: &AccountKey) {
        self.change(key, |calls| calls.counted += 1);
    }

    /// Records that the store may no longer count a call, because its end is recorded next.
    pub(super) fn record_uncounted(&self, key: &AccountKey) {
        self.change(key, |calls| calls.counted = calls.counted.saturating_sub(1));
    }

    /// Records that a call has ended.
    pub(super) fn end(&self, key: &AccountKey) {
        self.change(key, |calls| calls.begun = calls.begun.saturating_sub(1));
    }

    /// Records that permits are taken for wakes.
    pub(super) fn add_wake_permits(&self, key: &AccountKey, permits: u32) {
        self.change(key, |calls| {
            calls.wake_permits.push_back((Instant::now(), permits));
        });
    }

    /// The least and the greatest number of calls that the store should count for this process.
    pub(super) fn bounds(&self, key: &AccountKey) -> (u32, u32) {
        self.change(key, |calls| {
            let wake_permits = calls.wake_permits.iter().map(|(_, permits)| *permits);
            let most = wake_permits.fold(calls.begun, u32::saturating_add);
            (calls.counted.min(most), most)
        })
    }

    /// How many calls are in flight.
    pub(super) fn in_flight(&self, key: &AccountKey) -> u32 {
        self.lock().get(key).map_or(0, |calls| calls.begun)
    }

    /// Changes the calls of an account, and forgets an account without calls.
    fn change<T>(&self, key: &AccountKey, change: impl FnOnce(&mut AccountCalls) -> T) -> T {
        let mut by_account = self.lock();
        let calls = by_account.entry(key.clone()).or_default();
        while let Some((since, _)) = calls.wake_permits.front()
            && since.elapsed() >= WAKE_PERMIT_COUNTS_FOR
        {
            calls.wake_permits.pop_front();
        }
        let result = change(calls);
        if calls.begun == 0 && calls.wake_permits.is_empty() {
            by_account.remove(key);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountKey, AccountCalls>> {
        self.by_account
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
