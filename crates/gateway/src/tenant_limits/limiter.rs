//! The limits of all tenants, and the tenants that are in use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use forebay_runtime::member::Member;
use forebay_shared::{
    ids::TenantId,
    store::{LimitsVersion, StoreError},
    tenant_limit::TenantLimits,
};
use tokio::time::{Instant, sleep};

use super::tenant::{CallContext, LimitedTenant};
use crate::{
    auth::ApiKeysFile,
    store_call::{within_long_timeout, within_timeout},
};

/// How often the stored limits are read.
const READ_EVERY: Duration = Duration::from_secs(2);
/// How often an error that lasts is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// A tenant without requests for this time is dropped. Its leases have expired then.
const DROP_AFTER: Duration = Duration::from_secs(120);

/// The limits of all tenants.
pub(crate) struct Limiter {
    keys: Arc<ApiKeysFile>,
    /// `None` until they were read once.
    stored: RwLock<Option<StoredLimits>>,
    /// Since when the store cannot be read, and when that was logged last.
    failing: Mutex<Option<(Instant, Instant)>>,
    tenants: Mutex<HashMap<TenantId, Arc<LimitedTenant>>>,
    context: Arc<CallContext>,
}

/// The limits of the store, as they were read last.
#[derive(Default)]
struct StoredLimits {
    version: Option<LimitsVersion>,
    limits: HashMap<TenantId, Arc<TenantLimits>>,
}

impl Limiter {
    pub(crate) fn new(keys: Arc<ApiKeysFile>, member: Arc<Member>) -> Self {
        let metrics = member.metrics.gateway.clone();
        Self {
            keys,
            stored: RwLock::default(),
            failing: Mutex::default(),
            tenants: Mutex::default(),
            context: Arc::new(CallContext { member, metrics }),
        }
    }

    /// A tenant, if it has limits.
    pub(super) fn tenant(&self, id: &TenantId) -> Option<Arc<LimitedTenant>> {
        let limits = self.limits_of(id)?;
        let tenant = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            match tenants.get(id) {
                Some(tenant) => Arc::clone(tenant),
                None => {
                    let context = Arc::clone(&self.context);
                    let tenant = LimitedTenant::new(id.clone(), Arc::clone(&limits), context);
                    let tenant = Arc::new(tenant);
                    tenants.insert(id.clone(), Arc::clone(&tenant));
                    tenant
                }
            }
        };
        tenant.begin_use(&limits);
        Some(tenant)
    }

    /// The limits of a tenant. Those of the store take precedence over those of the keys file.
    fn limits_of(&self, tenant: &TenantId) -> Option<Arc<TenantLimits>> {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        let stored = stored.as_ref();
        let stored = stored.and_then(|stored| stored.limits.get(tenant).cloned());
        let limits = stored.or_else(|| self.keys.limits_of(tenant))?;
        (limits.requests.is_some() || limits.live_jobs.is_some()).then_some(limits)
    }

    /// Whether the stored limits were read once.
    pub(super) fn is_read(&self) -> bool {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        stored.is_some()
    }

    /// Reads the stored limits every two seconds, and drops tenants that are not used, for as long as the future is polled.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            sleep(READ_EVERY).await;
            self.read_stored().await;
            self.drop_unused();
        }
    }

    /// Reads the stored limits if they have changed. If that fails, the earlier ones stay.
    pub(crate) async fn read_stored(&self) {
        let known = {
            let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
            stored.as_ref().and_then(|stored| stored.version)
        };
        let is_failing = self.failing().is_some();
        let read = self.context.store().tenant_limits(known);
        // After a failure there is more time, because all limits together may be large.
        let read = match is_failing {
            true => within_long_timeout(read).await,
            false => within_timeout(read).await,
        };
        if read.is_ok() && self.failing().take().is_some() {
            tracing::info!("the limits of tenants can be read again");
        }
        match read {
            Ok(None) => {
                let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
                // Nothing has changed. Before the first read, this means that the store has never had limits.
                stored.get_or_insert_default();
            }
            Ok(Some(read)) => {
                for tenant in &read.unreadable {
                    tracing::warn!(%tenant, "the stored limits of a tenant cannot be read and do not apply; a newer release may have written them");
                }
                let limits = read.limits.into_iter();
                let limits = limits.map(|(tenant, limits)| (tenant, Arc::new(limits)));
                let next = StoredLimits {
                    version: read.version,
                    limits: limits.collect(),
                };
                *self.stored.write().unwrap_or_else(PoisonError::into_inner) = Some(next);
            }
            Err(error) => self.log_failure(&error),
        }
    }

    fn failing(&self) -> MutexGuard<'_, Option<(Instant, Instant)>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a failure to read the limits, at most once a minute.
    fn log_failure(&self, error: &StoreError) {
        let mut failing = self.failing();
        let now = Instant::now();
        let (since, logged) = failing.unwrap_or((now, now));
        let is_due = failing.is_none() || now - logged >= LOG_EVERY;
        if is_due {
            tracing::error!(
                %error,
                failing_for_s = (now - since).as_secs(),
                "the limits of tenants cannot be read: the last known limits stay valid"
            );
        }
        *failing = Some((since, if is_due { now } else { logged }));
    }

    fn drop_unused(&self) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, tenant| {
            // A request or a task that uses the tenant has another reference.
            Arc::strong_count(tenant) > 1 || !tenant.is_unused_for(DROP_AFTER)
        });
    }
}
