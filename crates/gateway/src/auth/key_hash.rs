//! The hash of an API key. Keys themselves are not kept.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 hash of a key.
#[derive(Clone, Copy)]
pub(super) struct KeyHash([u8; 32]);

impl KeyHash {
    pub(super) fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The first bytes, by which a key is found. They are not secret: they are the key's id too.
    pub(super) fn prefix(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The id of the key for logs. It does not help to find the key, which is random.
    pub(super) fn key_id(self) -> Arc<str> {
        format!("{:016x}", self.prefix()).into()
    }

    /// Compares in a time that does not depend on the values.
    pub(super) fn equals(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}
