//! The name of a tenant that has API keys or limits: what it may be, in words, as a pattern and as a check.
//!
//! It has no colon, because the colon ends the tenant in a line of the keys file. Other tenant ids may have a colon.

use forebay_shared::ids::TenantId;
use serde_json::{Value, json};

pub(crate) const CHARS_MAX: usize = 128;
pub(crate) const PATTERN: &str = "^[A-Za-z0-9._@-]+$";
/// What is allowed, in words.
pub(crate) const ALLOWED: &str = "a string of 1 to 128 characters from A-Z a-z 0-9 . _ @ -";

/// Reads a name. `None` if the text is not a name.
pub(crate) fn parse(text: &str) -> Option<TenantId> {
    let has_colon = text.contains(':');
    let tenant = (!has_colon).then(|| TenantId::parse(text))?;
    tenant.ok()
}

/// The JSON Schema of a name.
pub(crate) fn schema() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": CHARS_MAX, "pattern": PATTERN})
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::{ALLOWED, CHARS_MAX, PATTERN, parse};

    #[test]
    fn the_check_accepts_what_the_pattern_and_the_words_say() {
        let pattern = Regex::new(PATTERN).expect("a pattern");
        let ascii = (0..=127_u8).map(|byte| char::from(byte).to_string());
        let further = ["", "shop", "a@b-c._D9", "a:b", "a b", "ü", "a\n"].map(String::from);
        for text in ascii.chain(further) {
            assert_eq!(parse(&text).is_some(), pattern.is_match(&text), "{text:?}");
        }
        assert!(parse(&"x".repeat(CHARS_MAX)).is_some());
        assert!(parse(&"x".repeat(CHARS_MAX + 1)).is_none());
        assert!(ALLOWED.contains(&format!("1 to {CHARS_MAX} characters")));
    }
}
