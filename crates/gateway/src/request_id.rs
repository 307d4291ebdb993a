//! The id of a request: in the header `x-request-id` of its answer, and in its log lines.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header of a request and of its answer.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a request, in bytes.
const BYTES_MAX: usize = 128;

/// The id of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// The client's id, if the request has exactly one that is valid: 1 to 128 visible ASCII characters. Otherwise a new id.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value).unwrap_or_else(Self::fresh),
            _ => Self::fresh(),
        }
    }

    /// A new id: 32 random hex digits.
    pub(crate) fn fresh() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()).into())
    }

    fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let is_valid = (1..=BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_valid.then(|| Self(text.into()))
    }

    /// The id as text.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.0
    }

    /// Adds the id to the headers of an answer.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        // Visible ASCII is always a valid value.
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(HEADER, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{HEADER, RequestId};

    fn id_of(values: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).expect("a value"));
        }
        RequestId::of(&headers).text().to_string()
    }

    #[test]
    fn a_valid_id_is_kept_and_any_other_is_replaced() {
        let longest = [b'~'; 128];
        for valid in [&b"r-1"[..], b"!\"#/{}", &longest] {
            assert_eq!(id_of(&[valid]).as_bytes(), valid);
        }
        let too_long = [b'a'; 129];
        let invalid: [&[&[u8]]; 7] = [
            &[],
            &[b""],
            &[b"a b"],
            &[b"a\tb"],
            &[b"caf\xc3\xa9"],
            &[&too_long],
            &[b"a", b"b"],
        ];
        for values in invalid {
            let id = id_of(values);
            assert!(
                id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{id}"
            );
        }
        assert_ne!(id_of(&[]), id_of(&[]));
    }
}
