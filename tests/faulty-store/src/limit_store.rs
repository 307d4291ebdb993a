//! The calls about the limits of tenants.

use async_trait::async_trait;
use forebay_shared::{
    ids::TenantId,
    store::{LimitStore, LimitsVersion, StoreError, StoredTenantLimits, StoredUsage, UsageSwap},
    tenant_limit::TenantLimits,
};

use crate::{faults::StoreCall, store::FaultyStore};

#[async_trait]
impl LimitStore for FaultyStore {
    async fn tenant_usage(&self, tenant: &TenantId) -> Result<Option<StoredUsage>, StoreError> {
        let inner_call = self.inner.tenant_usage(tenant);
        self.forward(StoreCall::TenantUsage, inner_call).await
    }

    async fn swap_tenant_usage(&self, swap: &UsageSwap) -> Result<bool, StoreError> {
        let inner_call = self.inner.swap_tenant_usage(swap);
        self.forward(StoreCall::SwapTenantUsage, inner_call).await
    }

    async fn live_jobs_of(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let inner_call = self.inner.live_jobs_of(tenant);
        self.forward(StoreCall::LiveJobsOf, inner_call).await
    }

    async fn tenant_limits(
        &self,
        known: Option<LimitsVersion>,
    ) -> Result<Option<StoredTenantLimits>, StoreError> {
        let inner_call = self.inner.tenant_limits(known);
        self.forward(StoreCall::TenantLimits, inner_call).await
    }

    async fn tenant_limits_of(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<TenantLimits>, StoreError> {
        let inner_call = self.inner.tenant_limits_of(tenant);
        self.forward(StoreCall::TenantLimits, inner_call).await
    }

    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<&TenantLimits>,
    ) -> Result<bool, StoreError> {
        let inner_call = self.inner.set_tenant_limits(tenant, limits);
        self.forward(StoreCall::SetTenantLimits, inner_call).await
    }
}
