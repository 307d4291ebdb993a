//! The calls about API keys.

use async_trait::async_trait;
use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    store::{ApiKeyStore, ApiKeysVersion, StoreError, StoredApiKeys},
    time::TimeMs,
};

use crate::{FaultyStore, StoreCall};

#[async_trait]
impl ApiKeyStore for FaultyStore {
    async fn api_keys(
        &self,
        known: Option<ApiKeysVersion>,
    ) -> Result<Option<StoredApiKeys>, StoreError> {
        let inner_call = self.inner.api_keys(known);
        self.forward(StoreCall::ApiKeys, inner_call).await
    }

    async fn add_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        let inner_call = self.inner.add_api_key(key);
        self.forward(StoreCall::AddApiKey, inner_call).await
    }

    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        let inner_call = self.inner.remove_api_key(id);
        self.forward(StoreCall::RemoveApiKey, inner_call).await
    }

    async fn record_api_key_uses(&self, uses: &[(ApiKeyId, TimeMs)]) -> Result<(), StoreError> {
        let inner_call = self.inner.record_api_key_uses(uses);
        self.forward(StoreCall::RecordApiKeyUses, inner_call).await
    }
}
