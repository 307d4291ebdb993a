//! The hash of an API key. Keys themselves are not kept.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 hash of a key.
#[derive(Clone, Copy)]
pub(crate) struct KeyHash([u8; 32]);

impl KeyHash {
    pub(crate) fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The hash in 64 hexadecimal digits.
    pub(crate) fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads a hash that is written as 64 hexadecimal digits. `None` for any other text.
    pub(super) fn of_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut hash = [0; 32];
        for (index, byte) in hash.iter_mut().enumerate() {
            let digits = text.get(2 * index..2 * index + 2)?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(hash))
    }

    /// The first bytes, by which a key is found. They are not secret: for a key of the keys file, logs show them as the key's id.
    pub(super) fn prefix(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The id of a key of the keys file, for logs. It does not help to guess a random key.
    pub(super) fn key_id(self) -> Arc<str> {
        format!("{:016x}", self.prefix()).into()
    }

    /// Compares in a time that does not depend on the values.
    pub(super) fn equals(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::KeyHash;

    #[test]
    fn a_hash_is_read_back_from_its_digits() {
        let hash = KeyHash::of("key");
        let hex = hash.to_hex();
        assert_eq!(hex.len(), 64);
        assert!(KeyHash::of_hex(&hex).is_some_and(|read| read.equals(hash)));
        for text in [
            "",
            &hex[1..],
            &format!("{hex}0"),
            &hex.replace(['0', '1', '2', '3', '4', '5', '6', '7'], "+"),
        ] {
            assert!(KeyHash::of_hex(text).is_none(), "{text}");
        }
    }
}
