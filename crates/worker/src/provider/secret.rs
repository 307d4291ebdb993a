//! A key, in a type that does not print.
//!
//! The value leaves it in few places only: a header marked as sensitive, the removal of the value from a
//! text that a provider sent, and the opening of a connection whose URL it is.

use std::fmt;

/// A value that must not show up in any log, error or debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Values shorter than this are not looked for in texts: they would match by chance.
    const REDACT_BYTES_MIN: usize = 6;

    /// Takes a value in; white space around it, as files leave it, is dropped.
    #[must_use]
    pub fn new(value: &str) -> Self {
        Self(value.trim().to_owned())
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value itself, for the request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with every occurrence of the value replaced: some services repeat the key that they
    /// refuse.
    pub(crate) fn redact(&self, text: &str) -> String {
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
    fn never_prints() {
        let key = Secret::new(" sk-very-secret\n");
        assert_eq!(
            format!("{key} {key:?} {:#?}", Some(&key)),
            "[redacted] Secret Some(\n    Secret,\n)"
        );
        assert_eq!(key.expose(), "sk-very-secret");
    }

    #[test]
    fn is_taken_out_of_what_a_service_says() {
        let key = Secret::new("sk-very-secret");
        assert_eq!(
            key.redact("bad key sk-very-secret, really: sk-very-secret"),
            "bad key [redacted], really: [redacted]"
        );
        assert_eq!(Secret::new("a").redact("a b"), "a b");
    }
}
