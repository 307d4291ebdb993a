//! Implements the trait [`LimitStore`]. The limits of all tenants are one hash, and the usage of each tenant is a string that
//! expires.

use async_trait::async_trait;
use forebay_shared::{
    document,
    ids::TenantId,
    store::{
        LIMITED_TENANTS_MAX, LimitStore, StoreError, StoredTenantLimits, StoredUsage, UsageSwap,
    },
    tenant_limit::TenantLimits,
};
use redis::cmd;
use uuid::Uuid;

use super::{
    arguments::Arguments, keys::partitions, redis_error::UnexpectedReply, redis_store::RedisStore,
    reply_part::ReplyPart,
};
use crate::{
    rejection::{OnStoreFull, broken_data},
    stored_limits,
};

/// The length of a version in hex digits.
const VERSION_LENGTH: usize = 32;
/// The field of the limits that has their version. No tenant has this name.
const VERSION_FIELD: &str = "#";

#[async_trait]
impl LimitStore for RedisStore {
    async fn tenant_usage(&self, tenant: &TenantId) -> Result<Option<StoredUsage>, StoreError> {
        let mut get = cmd("GET");
        get.arg(self.keys.tenant_usage(tenant));
        let value = self.connections.run(&get, OnStoreFull::Retry).await?;
        let stored = ReplyPart::new("GET of the usage of a tenant", value).non_nil();
        stored
            .map(|stored| read_usage(&stored.bytes()?))
            .transpose()
    }

    async fn swap_tenant_usage(&self, swap: &UsageSwap) -> Result<bool, StoreError> {
        let version = swap.version.simple().to_string();
        let json = serde_json::to_string(&swap.next).map_err(broken_data)?;
        let expected = swap.expected.map(|version| version.simple().to_string());
        let mut args = Arguments::default();
        args.push(expected.unwrap_or_default())
            .push(&version)
            .push(format!("{version}\n{json}"))
            .push_text(swap.ttl_ms.max(1));
        let key = self.keys.tenant_usage(&swap.tenant);
        let script = &self.scripts.swap_tenant_usage;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry);
        Ok(reply.await?.int()? != 0)
    }

    /// Sums the counts of all partitions in one round trip to each server.
    async fn live_jobs_of(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let calls: Vec<_> = partitions()
            .map(|partition| {
                let mut args = Arguments::default();
                args.push(self.keys.partition_prefix(partition))
                    .push(tenant.as_str());
                ([self.keys.counts(partition)], args)
            })
            .collect();
        let script = &self.scripts.live_jobs_of;
        let replies = self.connections.eval_each(script, &calls).await?;
        let counts = replies.into_iter().map(ReplyPart::int);
        let sum: i64 = counts.sum::<Result<_, _>>()?;
        Ok(u64::try_from(sum).unwrap_or(0))
    }

    async fn tenant_limits(
        &self,
        known: Option<Uuid>,
    ) -> Result<Option<StoredTenantLimits>, StoreError> {
        let mut get = cmd("HGET");
        get.arg(self.keys.tenant_limits()).arg(VERSION_FIELD);
        let value = self.connections.run(&get, OnStoreFull::Retry).await?;
        let version = ReplyPart::new("HGET of the version of limits", value).non_nil();
        let version = version.map(|version| read_version(&version.bytes()?));
        if version.transpose()? == known {
            return Ok(None);
        }
        let mut get_all = cmd("HGETALL");
        get_all.arg(self.keys.tenant_limits());
        let value = self.connections.run_for_large_reply(&get_all).await?;
        let mut parts = ReplyPart::new("HGETALL of limits", value).list()?;
        let (mut version, mut rows) = (None, Vec::new());
        while let (Some(tenant), Some(limits)) = (parts.next(), parts.next()) {
            match tenant.text()? {
                field if field == VERSION_FIELD => version = Some(read_version(&limits.bytes()?)?),
                tenant => rows.push((tenant, limits.bytes()?)),
            }
        }
        Ok(Some(stored_limits::parse(version, rows.into_iter())))
    }

    async fn tenant_limits_of(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<TenantLimits>, StoreError> {
        let mut get = cmd("HGET");
        get.arg(self.keys.tenant_limits()).arg(tenant.as_str());
        let value = self.connections.run(&get, OnStoreFull::Retry).await?;
        let limits = ReplyPart::new("HGET of limits", value).non_nil();
        limits.map(ReplyPart::document).transpose()
    }

    async fn set_tenant_limits(
        &self,
        tenant: &TenantId,
        limits: Option<&TenantLimits>,
    ) -> Result<bool, StoreError> {
        let json = limits.map(serde_json::to_string).transpose();
        let mut args = Arguments::default();
        args.push(tenant.as_str())
            .push(json.map_err(broken_data)?.unwrap_or_default())
            .push(Uuid::new_v4().simple().to_string())
            .push_text(LIMITED_TENANTS_MAX);
        let key = self.keys.tenant_limits();
        let script = &self.scripts.set_tenant_limits;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry);
        Ok(reply.await?.int()? != 0)
    }
}

fn read_usage(stored: &[u8]) -> Result<StoredUsage, StoreError> {
    let unexpected = || broken_data(UnexpectedReply("usage of a tenant"));
    let (version, json) = stored
        .split_at_checked(VERSION_LENGTH)
        .ok_or_else(unexpected)?;
    let json = json.strip_prefix(b"\n").ok_or_else(unexpected)?;
    Ok(StoredUsage {
        version: read_version(version)?,
        usage: document::read(json)?,
    })
}

fn read_version(hex: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::try_parse_ascii(hex).map_err(broken_data)
}
