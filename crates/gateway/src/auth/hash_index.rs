//! Finds what belongs to a key by the key's hash.

use std::collections::HashMap;

use super::key_hash::KeyHash;

/// Values by the hashes of keys.
pub(super) struct HashIndex<T> {
    /// The values, by the prefixes of the hashes. Keys whose hashes have the same prefix share an entry.
    by_prefix: HashMap<u64, Vec<(KeyHash, T)>>,
}

impl<T> Default for HashIndex<T> {
    fn default() -> Self {
        Self {
            by_prefix: HashMap::new(),
        }
    }
}

impl<T> HashIndex<T> {
    /// Adds the value of a key. Returns `false` if the key has a value already.
    pub(super) fn add(&mut self, hash: KeyHash, value: T) -> bool {
        let same_prefix = self.by_prefix.entry(hash.prefix()).or_default();
        if same_prefix.iter().any(|(known, _)| known.equals(hash)) {
            return false;
        }
        same_prefix.push((hash, value));
        true
    }

    /// The value of the key with this hash.
    pub(super) fn find(&self, hash: KeyHash) -> Option<&T> {
        let same_prefix = self.by_prefix.get(&hash.prefix())?;
        let (_, value) = same_prefix.iter().find(|(known, _)| known.equals(hash))?;
        Some(value)
    }

    /// All values, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.by_prefix.values().flatten().map(|(_, value)| value)
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.by_prefix.values().map(Vec::len).sum()
    }
}
