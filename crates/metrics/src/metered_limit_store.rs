//! Measures the calls that limit tenants.

use async_trait::async_trait;
use forebay_shared::{
    ids::TenantId,
    store::{LimitStore, LimitsVersion, StoreError, StoredTenantLimits, StoredUsage, UsageSwap},
    tenant_limit::TenantLimits,
};

use crate::metered_store::MeteredStore;

#[async_trait]
impl LimitStore for MeteredStore {
    async fn tenant_usage(&self, tenant: &TenantId) -> Result<Option<StoredUsage>, StoreError> {
        let call = self.inner.tenant_usage(tenant);
        self.measure("tenant_usage", call).await
    }

    async fn swap_tenant_usage(&self, swap: &UsageSwap) -> Result<bool, StoreError> {
        let call = self.inner.swap_tenant_usage(swap);
        self.measure("swap_tenant_usage", call).await
    }

    async fn live_jobs_of(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let call = self.inner.live_jobs_of(tenant);
        self.measure("live_jobs_of", call).await
    }

    async fn tenant_limits(
        &self,
        known: Option<LimitsVersion>,
    ) -> Result<Option<StoredTenantLimits>, StoreError> {
        let call = self.inner.tenant_limits(known);
        self.measure("tenant_limits", call).await
    }

    async fn tenant_limits_of(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<TenantLimits>, StoreError> {
        let call = self.inner.tenant_limits_of(tenant);
        self.measure("tenant_limits_of", call).await
    }

    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<&TenantLimits>,
    ) -> Result<bool, StoreError> {
        let call = self.inner.set_tenant_limits(tenant, limits);
        self.measure("set_tenant_limits", call).await
    }
}
