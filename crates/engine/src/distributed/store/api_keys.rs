//! The API keys: one hash for the fleet, with a version. The times of the last uses are in a hash of their own, so that a use does
//! not change the set.

use std::collections::HashMap;

use async_trait::async_trait;
use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    document,
    store::{
        API_KEYS_MAX, ApiKeyStore, ApiKeysVersion, StoreError, StoredApiKey, StoredApiKeys,
        UnreadableApiKey,
    },
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::Arguments, redis_error::UnexpectedReply, redis_store::RedisStore,
    reply_part::ReplyPart, scripts::LuaScript,
};
use crate::rejection::{OnStoreFull, broken_data};

#[async_trait]
impl ApiKeyStore for RedisStore {
    async fn api_keys(
        &self,
        known: Option<ApiKeysVersion>,
    ) -> Result<Option<StoredApiKeys>, StoreError> {
        if let Some(known) = known
            && self.api_keys_version().await? == known
        {
            return Ok(None);
        }
        let (script, key, no_args) = (
            &self.scripts.api_keys,
            self.keys.api_keys(),
            Arguments::default(),
        );
        let reply = self
            .connections
            .eval_for_large_reply(script, &key, &no_args);
        let [version, docs, uses] = reply.await?.parts()?;
        let mut stored = StoredApiKeys {
            version: parse_version(version)?,
            ..StoredApiKeys::default()
        };
        let mut last_uses = HashMap::new();
        let mut uses = uses.list()?;
        while let (Some(id), Some(at)) = (uses.next(), uses.next()) {
            last_uses.insert(id.text()?, TimeMs(at.u64_or_zero()?));
        }
        let mut docs = docs.list()?;
        while let (Some(id), Some(doc)) = (docs.next(), docs.next()) {
            let (id, doc) = (id.text()?, doc.bytes()?);
            let last_used_at = last_uses.get(&id).copied();
            match document::read::<ApiKey>(&doc) {
                Ok(key) => stored.keys.push(StoredApiKey { key, last_used_at }),
                Err(error) => stored.unreadable.push(UnreadableApiKey {
                    id,
                    error: error.into(),
                }),
            }
        }
        Ok(Some(stored))
    }

    async fn add_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        let mut args = Arguments::default();
        args.push(key.id.as_str())
            .push(serde_json::to_string(key).map_err(broken_data)?)
            .push_text(ApiKeysVersion::new_v4().simple())
            .push_text(API_KEYS_MAX);
        self.change_api_keys(&self.scripts.add_api_key, &args).await
    }

    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        let mut args = Arguments::default();
        args.push(id.as_str())
            .push_text(ApiKeysVersion::new_v4().simple());
        self.change_api_keys(&self.scripts.remove_api_key, &args)
            .await
    }

    async fn record_api_key_uses(&self, uses: &[(ApiKeyId, TimeMs)]) -> Result<(), StoreError> {
        let mut args = Arguments::default();
        for (id, at) in uses {
            args.push(id.as_str()).push_time(*at);
        }
        self.change_api_keys(&self.scripts.record_api_key_uses, &args)
            .await?;
        Ok(())
    }
}

impl RedisStore {
    async fn api_keys_version(&self) -> Result<ApiKeysVersion, StoreError> {
        let mut command = cmd("GET");
        command.arg(self.keys.api_keys_version());
        let value = self.connections.run(&command, OnStoreFull::Retry).await?;
        match ReplyPart::new("GET of the version of API keys", value).non_nil() {
            None => Ok(ApiKeysVersion::nil()),
            Some(version) => parse_version(version),
        }
    }

    /// Runs a script that changes the keys or their last uses. The script returns 1 or 0.
    async fn change_api_keys(
        &self,
        script: &LuaScript,
        args: &Arguments,
    ) -> Result<bool, StoreError> {
        let key = self.keys.api_keys();
        let reply = self
            .connections
            .eval(script, &key, args, OnStoreFull::Retry);
        match reply.await?.int()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(broken_data(UnexpectedReply(script.name))),
        }
    }
}

/// A version as the store holds it; an empty text if the set was never changed.
fn parse_version(version: ReplyPart) -> Result<ApiKeysVersion, StoreError> {
    let version = version.bytes()?;
    if version.is_empty() {
        return Ok(ApiKeysVersion::nil());
    }
    ApiKeysVersion::try_parse_ascii(&version).map_err(broken_data)
}
