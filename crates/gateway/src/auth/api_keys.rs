//! The valid API keys, found by their hashes.

use std::collections::HashMap;

use forebay_shared::ids::TenantId;

use super::{caller::Caller, key_hash::KeyHash, scopes::Scopes};

/// A set of keys, with what each may do.
#[derive(Default)]
pub(super) struct ApiKeys {
    by_prefix: HashMap<u64, Vec<(KeyHash, Caller)>>,
}

impl ApiKeys {
    /// Adds a key. `false` if the set has the key already.
    pub(super) fn add(&mut self, hash: KeyHash, tenant: TenantId, scopes: Scopes) -> bool {
        let same_prefix = self.by_prefix.entry(hash.prefix()).or_default();
        if same_prefix.iter().any(|(known, _)| known.equals(hash)) {
            return false;
        }
        same_prefix.push((hash, Caller::with_key(tenant, hash, scopes)));
        true
    }

    /// The caller with this key.
    pub(super) fn find(&self, key: &str) -> Option<&Caller> {
        self.find_hash(KeyHash::of(key))
    }

    /// The caller whose key has this hash.
    pub(super) fn find_hash(&self, hash: KeyHash) -> Option<&Caller> {
        let same_prefix = self.by_prefix.get(&hash.prefix())?;
        let (_, caller) = same_prefix.iter().find(|(known, _)| known.equals(hash))?;
        Some(caller)
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.by_prefix.values().map(Vec::len).sum()
    }
}
