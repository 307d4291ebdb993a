//! API keys. The store has none, because no loop uses them.

use async_trait::async_trait;
use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    store::{ApiKeyStore, ApiKeysVersion, StoreError, StoredApiKeys},
    time::TimeMs,
};

use super::MemoryStore;

#[async_trait]
impl ApiKeyStore for MemoryStore {
    async fn api_keys(
        &self,
        _known: Option<ApiKeysVersion>,
    ) -> Result<Option<StoredApiKeys>, StoreError> {
        Ok(Some(StoredApiKeys::default()))
    }

    async fn add_api_key(&self, _key: &ApiKey) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn remove_api_key(&self, _id: &ApiKeyId) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn record_api_key_uses(&self, _uses: &[(ApiKeyId, TimeMs)]) -> Result<(), StoreError> {
        Ok(())
    }
}
