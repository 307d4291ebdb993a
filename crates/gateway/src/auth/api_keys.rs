//! The valid API keys. Only their SHA-256 hashes are kept.

use std::{collections::HashMap, sync::Arc};

use forebay_shared::ids::TenantId;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{caller::Caller, scopes::Scopes};

/// The SHA-256 hash of a key.
#[derive(Clone, Copy)]
pub(super) struct KeyHash([u8; 32]);

impl KeyHash {
    pub(super) fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The first bytes, by which a key is found. They are not secret: they are the key's id too.
    fn prefix(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The id of the key for logs. It does not help to find the key, which is random.
    fn key_id(self) -> Arc<str> {
        format!("{:016x}", self.prefix()).into()
    }

    /// Compares in a time that does not depend on the values.
    fn equals(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

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
        same_prefix.push((hash, Caller::with_key(tenant, hash.key_id(), scopes)));
        true
    }

    /// The caller with this key.
    pub(super) fn find(&self, key: &str) -> Option<&Caller> {
        let hash = KeyHash::of(key);
        let same_prefix = self.by_prefix.get(&hash.prefix())?;
        let (_, caller) = same_prefix.iter().find(|(known, _)| known.equals(hash))?;
        Some(caller)
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.by_prefix.values().map(Vec::len).sum()
    }
}
