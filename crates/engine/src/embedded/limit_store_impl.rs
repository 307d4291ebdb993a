//! Implements the trait [`LimitStore`].

use async_trait::async_trait;
use forebay_shared::{
    ids::TenantId,
    store::{LimitStore, StoreError, StoredTenantLimits, StoredUsage, UsageSwap},
    tenant_limit::TenantLimits,
};
use uuid::Uuid;

use super::{counts, sqlite_store::SqliteStore, tenant_limits};
use crate::{
    rejection::{OnStoreFull, broken_data},
    stored_limits,
};

#[async_trait]
impl LimitStore for SqliteStore {
    async fn tenant_usage(&self, tenant: &TenantId) -> Result<Option<StoredUsage>, StoreError> {
        Ok(self.tenant_usage.get(tenant, self.clock.now()))
    }

    async fn swap_tenant_usage(&self, swap: &UsageSwap) -> Result<bool, StoreError> {
        Ok(self.tenant_usage.swap(swap, self.clock.now()))
    }

    async fn live_jobs_of(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let tenant = tenant.to_string();
        self.read(move |db| counts::live_of(db, &tenant)).await
    }

    async fn tenant_limits(
        &self,
        known: Option<Uuid>,
    ) -> Result<Option<StoredTenantLimits>, StoreError> {
        let raw = self
            .read(move |db| tenant_limits::read_all(db, known))
            .await?;
        Ok(raw.map(|raw| {
            let rows = raw.rows.into_iter();
            let rows = rows.map(|(tenant, limits)| (tenant, limits.into_bytes()));
            stored_limits::parse(raw.version, rows)
        }))
    }

    async fn tenant_limits_of(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<TenantLimits>, StoreError> {
        let tenant = tenant.to_string();
        let json = self
            .read(move |db| tenant_limits::read(db, &tenant))
            .await?;
        json.map(|json| Ok(forebay_shared::document::read(json.as_bytes())?))
            .transpose()
    }

    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<&TenantLimits>,
    ) -> Result<bool, StoreError> {
        let tenant = tenant.to_string();
        let limits = limits.map(serde_json::to_string).transpose();
        let (limits, version) = (limits.map_err(broken_data)?, Uuid::new_v4());
        self.write(OnStoreFull::Retry, move |db| {
            tenant_limits::set(db, &tenant, limits.as_deref(), version)
        })
        .await
    }
}
