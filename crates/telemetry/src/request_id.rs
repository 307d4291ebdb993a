//! The id of an HTTP request (`x-request-id`). A clone allocates no memory.

use std::fmt;

use http::HeaderValue;

/// The longest id that is taken from a client, in bytes.
const BYTES_MAX: usize = 128;

/// The id of an HTTP request: visible ASCII, at most 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Id);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    /// Written as 32 hex digits. Not a `u128`, whose alignment would make every task context larger.
    Random([u8; 16]),
    /// The client's. Shares the memory of the request's header.
    Given(HeaderValue),
}

impl RequestId {
    /// A new id from random bytes.
    #[must_use]
    pub const fn random(bytes: [u8; 16]) -> Self {
        Self(Id::Random(bytes))
    }

    /// The id that a client sent. `None` unless it is 1 to 128 visible ASCII characters.
    #[must_use]
    pub fn given(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let is_valid =
            (1..=BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        is_valid.then(|| Self(Id::Given(value.clone())))
    }

    /// The id as the value of a header.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        match &self.0 {
            // Hex digits are always a valid value.
            Id::Random(bytes) => HeaderValue::from_bytes(&hex_digits(*bytes))
                .unwrap_or_else(|_| HeaderValue::from_static("")),
            Id::Given(value) => value.clone(),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Random(bytes) => write!(f, "{:032x}", u128::from_be_bytes(*bytes)),
            Id::Given(value) => f.write_str(value.to_str().unwrap_or_default()),
        }
    }
}

fn hex_digits(bytes: [u8; 16]) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [b'0'; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0x0f)];
    }
    digits
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::RequestId;

    #[test]
    fn the_text_and_the_header_are_equal() {
        let random = RequestId::random(*b"\0\x01\x0f\x10abcdefghijk\xff");
        let given = RequestId::given(&HeaderValue::from_static("r-1")).expect("valid");
        let random_text = "00010f106162636465666768696a6bff";
        for (id, expected) in [(random, random_text), (given, "r-1")] {
            assert_eq!(id.to_string(), expected);
            assert_eq!(id.header_value(), expected);
        }
    }
}
