//! Measures the calls about API keys.

use async_trait::async_trait;
use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    store::{ApiKeyStore, ApiKeysVersion, StoreError, StoredApiKeys},
    time::TimeMs,
};

use super::MeteredStore;

#[async_trait]
impl ApiKeyStore for MeteredStore {
    async fn api_keys(
        &self,
        known: Option<ApiKeysVersion>,
    ) -> Result<Option<StoredApiKeys>, StoreError> {
        let call = self.inner.api_keys(known);
        self.measure("api_keys", call).await
    }

    async fn add_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        let call = self.inner.add_api_key(key);
        self.measure("add_api_key", call).await
    }

    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        let call = self.inner.remove_api_key(id);
        self.measure("remove_api_key", call).await
    }

    async fn record_api_key_uses(&self, uses: &[(ApiKeyId, TimeMs)]) -> Result<(), StoreError> {
        let call = self.inner.record_api_key_uses(uses);
        self.measure("record_api_key_uses", call).await
    }
}
