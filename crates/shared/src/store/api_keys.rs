//! The part of the store that holds API keys.

use async_trait::async_trait;

use super::StoreError;
use crate::{
    api_key::{ApiKey, ApiKeyId},
    time::TimeMs,
};

/// The most API keys of a store. [`ApiKeyStore::add_api_key`] adds no more.
pub const API_KEYS_MAX: usize = 10_000;

/// The version of the set of keys. Each change of the set chooses a random value. A set that was never changed has the nil value.
pub type ApiKeysVersion = uuid::Uuid;

/// The API keys of a store.
#[derive(Debug, Default)]
pub struct StoredApiKeys {
    /// The version of the set.
    pub version: ApiKeysVersion,
    /// The keys that this process can read, in no order. Those that have expired are among them.
    pub keys: Vec<StoredApiKey>,
    /// The keys that this process cannot read. It must not accept them.
    pub unreadable: Vec<UnreadableApiKey>,
}

/// An API key, and when it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredApiKey {
    /// The document.
    pub key: ApiKey,
    /// The last use that was recorded.
    pub last_used_at: Option<TimeMs>,
}

/// An API key that this process cannot read.
#[derive(Debug)]
pub struct UnreadableApiKey {
    /// The id of the key, as it is stored.
    pub id: String,
    /// Why it cannot be read: [`StoreError::Newer`] if a newer release wrote it, [`StoreError::Broken`] otherwise.
    pub error: StoreError,
}

/// Holds the API keys that were made at run time.
#[async_trait]
pub trait ApiKeyStore: Send + Sync {
    /// Reads all keys. Returns `None`, after a cheap read of the version, if the set still has the version `known`. The record of a
    /// use does not change the version.
    async fn api_keys(
        &self,
        known: Option<ApiKeysVersion>,
    ) -> Result<Option<StoredApiKeys>, StoreError>;

    /// Adds a key. Returns whether the store has it now. Returns `false` if the store has [`API_KEYS_MAX`] keys, or another key with
    /// this id.
    async fn add_api_key(&self, key: &ApiKey) -> Result<bool, StoreError>;

    /// Removes a key. Returns whether it was there.
    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreError>;

    /// Records when keys were used last. A time before the recorded one, and a key that the store does not have, are ignored.
    async fn record_api_key_uses(&self, uses: &[(ApiKeyId, TimeMs)]) -> Result<(), StoreError>;
}
