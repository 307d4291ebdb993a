//! The limits of all tenants, and the tenants that are in use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use forebay_runtime::member::Member;
use forebay_shared::{ids::TenantId, store::LimitsVersion, tenant_limit::TenantLimits};
use tokio::time::sleep;

use super::tenant::{CallContext, LimitedTenant};
use crate::{auth::ApiKeysFile, store_call::within_timeout};

/// How often the stored limits are read.
const READ_EVERY: Duration = Duration::from_secs(2);
/// A tenant without requests for this time is dropped. Its leases have expired then.
const DROP_AFTER: Duration = Duration::from_secs(120);

/// The limits of all tenants.
pub(crate) struct Limiter {
    keys: Arc<ApiKeysFile>,
    stored: RwLock<StoredLimits>,
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

    /// The limits of a tenant. Those of the store win over those of the keys file.
    fn limits_of(&self, tenant: &TenantId) -> Option<Arc<TenantLimits>> {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        let stored = stored.limits.get(tenant).cloned();
        let limits = stored.or_else(|| self.keys.limits_of(tenant))?;
        (limits.requests.is_some() || limits.live_jobs.is_some()).then_some(limits)
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
            stored.version
        };
        match within_timeout(self.context.store().tenant_limits(known)).await {
            Ok(None) => {}
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
                *self.stored.write().unwrap_or_else(PoisonError::into_inner) = next;
            }
            Err(error) => {
                tracing::debug!(%error, "the limits of tenants could not be read; the earlier ones stay valid");
            }
        }
    }

    fn drop_unused(&self) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, tenant| {
            // A request or a task that uses the tenant has another reference.
            Arc::strong_count(tenant) > 1 || !tenant.is_unused_for(DROP_AFTER)
        });
    }
}
