//! What tenants have used of their limits. It is in memory and ends with the process, because no other process uses this store. After a
//! restart, the window of each tenant begins anew. The live jobs are counted from the database.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use forebay_shared::{
    ids::TenantId,
    store::{LIMITED_TENANTS_MAX, StoredUsage, UsageSwap},
    time::TimeMs,
};

/// The usage, by tenant, with the time until which it is kept.
#[derive(Debug, Default)]
pub(super) struct MemoryUsage {
    usage: Mutex<BTreeMap<TenantId, (StoredUsage, TimeMs)>>,
}

impl MemoryUsage {
    /// The usage of a tenant.
    pub(super) fn get(&self, tenant: &TenantId, now: TimeMs) -> Option<StoredUsage> {
        let usage = self.lock();
        let (stored, keep_until) = usage.get(tenant)?;
        (*keep_until > now).then(|| stored.clone())
    }

    /// Writes the usage of a tenant, if it still has the expected version. Returns whether the usage now has
    /// the state of the swap.
    pub(super) fn swap(&self, swap: &UsageSwap, now: TimeMs) -> bool {
        let mut usage = self.lock();
        let stored = usage.get(&swap.tenant);
        let stored = stored.filter(|(_, keep_until)| *keep_until > now);
        let version = stored.map(|(stored, _)| stored.version);
        if version == Some(swap.version) {
            return true;
        }
        if version != swap.expected {
            return false;
        }
        if !usage.contains_key(&swap.tenant) && usage.len() >= LIMITED_TENANTS_MAX {
            usage.retain(|_, (_, keep_until)| *keep_until > now);
            if usage.len() >= LIMITED_TENANTS_MAX {
                return false;
            }
        }
        let stored = StoredUsage {
            version: swap.version,
            usage: swap.next.clone(),
        };
        usage.insert(swap.tenant.clone(), (stored, now.plus_ms(swap.ttl_ms)));
        true
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantId, (StoredUsage, TimeMs)>> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
