//! A key or a password, in a type that does not print its value.
//!
//! Only [`Secret::expose`] returns the value. Its callers put the value into a header that is marked as sensitive,
//! or use it as the URL of a connection.

use std::fmt;

/// A value that must not appear in any log, error or debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The shortest value that [`Self::redact`] replaces. A shorter value would occur in texts by chance.
    const REDACT_BYTES_MIN: usize = 6;

    /// Wraps a value, without the white space around it that files often contain.
    #[must_use]
    pub fn new(value: &str) -> Self {
        Self(value.trim().to_owned())
    }

    /// Whether the value is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value itself, for the request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with every occurrence of the value replaced. Some services repeat the key that they refuse.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        if self.0.len() < Self::REDACT_BYTES_MIN {
            return text.to_owned();
        }
        text.replace(&self.0, "[redacted]")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_never_prints_its_value() {
        let key = Secret::new(" sk-very-secret\n");
        assert_eq!(
            format!("{key} {key:?} {:#?}", Some(&key)),
            "[redacted] Secret Some(\n    Secret,\n)"
        );
        assert_eq!(key.expose(), "sk-very-secret");
    }

    #[test]
    fn a_secret_is_removed_from_a_text() {
        let key = Secret::new("sk-very-secret");
        assert_eq!(
            key.redact("bad key sk-very-secret, really: sk-very-secret"),
            "bad key [redacted], really: [redacted]"
        );
        assert_eq!(Secret::new("a").redact("a b"), "a b");
    }
}
