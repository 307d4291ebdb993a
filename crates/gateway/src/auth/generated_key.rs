//! The form of generated keys: `fbk_`, random letters and digits, and a checksum in the last six characters.
//!
//! The prefix and the checksum let a scanner for leaked keys recognise a key without a request. The checksum is the CRC-32 (as in zip and
//! PNG) of all characters before it, as a number of base 62 with the digits `0-9 A-Z a-z`, padded with zeros.

use forebay_shared::{api_key::ApiKeyId, ids::InvalidId, secret::Secret};

const PREFIX: &str = "fbk_";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 40 digits of base 62 have 238 bits.
const RANDOM_CHARS: usize = 40;
/// The fewest random characters of an accepted key. Another release may generate keys of another length than this one.
const RANDOM_CHARS_MIN: usize = 32;
/// The largest CRC-32 has six digits of base 62.
const CHECKSUM_CHARS: usize = 6;
/// The most characters of an accepted key.
const KEY_CHARS_MAX: usize = 512;
/// How many random characters the id of a key has.
const ID_CHARS: usize = 16;

/// Makes a key.
pub(crate) fn generate() -> Secret {
    let mut key = format!("{PREFIX}{}", random_digits(RANDOM_CHARS));
    key.push_str(&checksum(&key));
    Secret::new(&key)
}

/// Makes the id of a key, which does not depend on the key.
pub(crate) fn generate_id() -> Result<ApiKeyId, InvalidId> {
    ApiKeyId::parse(&format!("key_{}", random_digits(ID_CHARS)))
}

/// Whether a text has the form of a generated key, with the right checksum.
pub(super) fn is_well_formed(text: &str) -> bool {
    let chars_min = PREFIX.len() + RANDOM_CHARS_MIN + CHECKSUM_CHARS;
    if !text.is_ascii() || !(chars_min..=KEY_CHARS_MAX).contains(&text.len()) {
        return false;
    }
    let (checked, checksum_found) = text.split_at(text.len() - CHECKSUM_CHARS);
    let random = checked.strip_prefix(PREFIX);
    random.is_some_and(|random| random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        && checksum(checked) == checksum_found
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = digit_of(rest % 62);
        rest /= 62;
    }
    digits.map(char::from).iter().collect()
}

fn random_digits(count: usize) -> String {
    let digits = (0..count).map(|_| char::from(digit_of(rand::random_range(0..62))));
    digits.collect()
}

/// The digit of a number below 62.
fn digit_of(number: u32) -> u8 {
    let index = usize::try_from(number).unwrap_or_default();
    DIGITS.get(index).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{generate, generate_id, is_well_formed};

    #[test]
    fn generated_keys_are_well_formed_and_differ() {
        let keys: BTreeSet<String> = (0..1_000).map(|_| generate().expose().to_owned()).collect();
        assert_eq!(keys.len(), 1_000);
        for key in &keys {
            assert!(key.starts_with("fbk_") && key.len() == 50, "{key}");
            assert!(is_well_formed(key), "{key}");
        }
        let ids: BTreeSet<_> = (0..1_000).filter_map(|_| generate_id().ok()).collect();
        assert_eq!(ids.len(), 1_000);
    }

    /// The checksum was computed with Python's `zlib.crc32`. It must never change.
    #[test]
    fn the_checksum_is_that_of_zlib() {
        let key = "fbk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd3xWgGw";
        assert!(is_well_formed(key), "{}", super::checksum(&key[..44]));
    }

    #[test]
    fn a_changed_character_is_found() {
        let key = generate();
        let key = key.expose();
        for position in 0..key.len() {
            let mut bytes = key.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert!(!is_well_formed(&changed), "{changed}");
        }
        for text in [
            "",
            "fbk_",
            &key[1..],
            &key[..key.len() - 1],
            &format!("{key}0"),
            &format!(" {key}"),
            "fbk_\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            assert!(!is_well_formed(text), "{text}");
        }
    }
}
