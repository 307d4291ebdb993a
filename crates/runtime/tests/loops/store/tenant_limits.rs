//! Limits of tenants. The store has none, because no loop uses them.

use async_trait::async_trait;
use forebay_shared::{
    ids::TenantId,
    store::{LimitStore, LimitsVersion, StoreError, StoredTenantLimits, StoredUsage, UsageSwap},
    tenant_limit::TenantLimits,
};

use super::MemoryStore;

#[async_trait]
impl LimitStore for MemoryStore {
    async fn tenant_usage(&self, _: &TenantId) -> Result<Option<StoredUsage>, StoreError> {
        Ok(None)
    }

    async fn swap_tenant_usage(&self, _: &UsageSwap) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn live_jobs_of(&self, _: &TenantId) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn tenant_limits(
        &self,
        _: Option<LimitsVersion>,
    ) -> Result<Option<StoredTenantLimits>, StoreError> {
        Ok(None)
    }

    async fn tenant_limits_of(&self, _: &TenantId) -> Result<Option<TenantLimits>, StoreError> {
        Ok(None)
    }

    async fn set_tenant_limits(
        &self,
        _: &TenantId,
        _: Option<&TenantLimits>,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }
}
