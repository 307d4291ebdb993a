//! A key or a password, in a type that does not print its value.
//!
//! Only [`Secret::expose`] returns the value, so a search for this name finds every use of it.

use std::fmt;

/// A value that must not appear in any log, error or debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The length of the shortest value that [`Self::redact`] replaces. A shorter value would occur in texts by chance.
    const REDACT_BYTES_MIN: usize = 6;

    /// Wraps a value. Removes the white space around it, because a file often ends with a line break.
    #[must_use]
    pub fn new(value: &str) -> Self {
        Self(value.trim().to_owned())
    }

    /// Whether the value is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value itself, for the code that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Replaces every occurrence of the value in a text, even if it is escaped as in JSON or in a URL. Some services
    /// repeat a refused key in their error.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        if self.0.len() < Self::REDACT_BYTES_MIN {
            return text.to_owned();
        }
        [
            self.0.clone(),
            self.0.replace('/', "\\/"),
            percent_encoded(&self.0),
        ]
        .iter()
        .fold(text.to_owned(), |text, form| {
            text.replace(form, "[redacted]")
        })
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

/// The value with percent-encoding (RFC 3986, section 2.1) of all but the unreserved characters.
fn percent_encoded(value: &str) -> String {
    let encode = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    value.bytes().map(encode).collect()
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
        let escaped = Secret::new("ab/cd+ef==");
        assert_eq!(
            escaped.redact(r"ab/cd+ef==, ab\/cd+ef==, ab%2Fcd%2Bef%3D%3D"),
            "[redacted], [redacted], [redacted]"
        );
    }
}
