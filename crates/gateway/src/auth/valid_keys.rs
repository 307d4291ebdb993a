//! The keys that this gateway accepts: those of the file and those of the store.

use std::sync::Arc;

use forebay_shared::store::Store;

use super::{
    ApiKeysFile,
    caller::Caller,
    stored_keys::{FoundKey, StoredKeys},
};

/// The keys that this gateway accepts.
#[derive(Clone)]
pub(crate) struct ValidKeys {
    pub(crate) file: Arc<ApiKeysFile>,
    pub(crate) stored: Arc<StoredKeys>,
}

impl ValidKeys {
    /// The keys of this file and of this store.
    pub(crate) fn new(file: Arc<ApiKeysFile>, store: Arc<dyn Store>) -> Self {
        let clock = Arc::clone(&store);
        let stored = Arc::new(StoredKeys::new(store, move || clock.now()));
        Self { file, stored }
    }

    /// Finds the caller with this key.
    pub(super) fn find(&self, key: &str) -> FoundKey {
        match self.file.find(key) {
            Some(caller) => FoundKey::Caller(caller),
            None => self.stored.find(key),
        }
    }

    /// Whether the key of this caller is still valid, with the same tenant and scopes.
    pub(crate) fn has(&self, caller: &Caller) -> bool {
        self.file.has(caller) || self.stored.has(caller)
    }
}
