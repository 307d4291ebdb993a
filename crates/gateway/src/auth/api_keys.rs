//! The keys of a file, found by their hashes.

use forebay_shared::ids::TenantId;

use super::{caller::Caller, hash_index::HashIndex, key_hash::KeyHash, scopes::Scopes};

/// A set of keys, with what each may do.
#[derive(Default)]
pub(super) struct ApiKeys {
    callers: HashIndex<Caller>,
}

impl ApiKeys {
    /// Adds a key. Returns `false` if the set has the key already.
    pub(super) fn add(&mut self, hash: KeyHash, tenant: TenantId, scopes: Scopes) -> bool {
        let caller = Caller::with_key(tenant, hash, hash.key_id(), scopes);
        self.callers.add(hash, caller)
    }

    /// The caller with this key.
    pub(super) fn find(&self, key: &str) -> Option<&Caller> {
        self.find_hash(KeyHash::of(key))
    }

    /// The caller whose key has this hash.
    pub(super) fn find_hash(&self, hash: KeyHash) -> Option<&Caller> {
        self.callers.find(hash)
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.callers.len()
    }
}
