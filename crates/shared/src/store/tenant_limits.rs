//! The limits of tenants, and what they have used of them, as the store holds them.

use async_trait::async_trait;

use super::{LimitsVersion, StoreError, UsageVersion};
use crate::{
    ids::TenantId,
    tenant_limit::{TenantLimits, TenantUsage},
};

/// The most tenants for which limits are stored, and the most tenants whose usage the embedded engine holds.
pub const LIMITED_TENANTS_MAX: usize = 10_000;

/// The limits of all tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredTenantLimits {
    /// Changes with each change of the limits. `None` if none were ever stored.
    pub version: Option<LimitsVersion>,
    /// The limits, in no order; at most [`LIMITED_TENANTS_MAX`]. Those that this process cannot read are left out.
    pub limits: Vec<(TenantId, TenantLimits)>,
    /// The tenants whose limits this process cannot read.
    pub unreadable: Vec<TenantId>,
}

/// The usage of a tenant as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUsage {
    /// The version of the document.
    pub version: UsageVersion,
    /// The document.
    pub usage: TenantUsage,
}

/// A change of a tenant's usage: a compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSwap {
    /// The tenant.
    pub tenant: TenantId,
    /// The version that was read, or `None` if the store had no usage of the tenant.
    pub expected: Option<UsageVersion>,
    /// The version after the swap.
    pub version: UsageVersion,
    /// The new document.
    pub next: TenantUsage,
    /// How long the document is kept, in milliseconds.
    pub ttl_ms: u64,
}

/// The part of a store that limits tenants. All calls are safe to repeat.
#[async_trait]
pub trait LimitStore: Send + Sync {
    /// Reads the usage of a tenant. `None` if it is not stored or has expired.
    async fn tenant_usage(&self, tenant: &TenantId) -> Result<Option<StoredUsage>, StoreError>;

    /// Writes the usage of a tenant, if it still has the expected version. Returns whether it was written. A swap whose response was
    /// lost can be repeated: it returns `true` if the usage has the swap's own version. A store that holds usage in memory
    /// returns `false` for a new tenant while it holds the usage of [`LIMITED_TENANTS_MAX`] tenants.
    async fn swap_tenant_usage(&self, swap: &UsageSwap) -> Result<bool, StoreError>;

    /// Counts the live jobs of a tenant. A job whose commit was confirmed before the call, and that has not ended, is counted.
    async fn live_jobs_of(&self, tenant: &TenantId) -> Result<u64, StoreError>;

    /// Reads the limits of all tenants. `None` if they still have the version `known`.
    async fn tenant_limits(
        &self,
        known: Option<LimitsVersion>,
    ) -> Result<Option<StoredTenantLimits>, StoreError>;

    /// Reads the limits of one tenant. `None` if none are stored.
    async fn tenant_limits_of(&self, tenant: &TenantId)
    -> Result<Option<TenantLimits>, StoreError>;

    /// Stores the limits of a tenant, or removes them. Returns `false` if there was nothing to remove, or if the store has limits of
    /// [`LIMITED_TENANTS_MAX`] other tenants.
    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<&TenantLimits>,
    ) -> Result<bool, StoreError>;
}
