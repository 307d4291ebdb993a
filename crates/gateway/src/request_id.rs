//! Chooses the id of a request, which is in the header `x-request-id` of its answer and in its log lines.

use axum::http::{HeaderMap, HeaderName};
use forebay_telemetry::RequestId;

/// The header of a request and of its answer.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The client's id, if the request has exactly one that is valid: 1 to 128 visible ASCII characters. Otherwise a new id.
pub(crate) fn of(headers: &HeaderMap) -> RequestId {
    let mut values = headers.get_all(HEADER).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => RequestId::given(value).unwrap_or_else(fresh),
        _ => fresh(),
    }
}

/// A new id: 32 random hex digits.
pub(crate) fn fresh() -> RequestId {
    RequestId::random(rand::random())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{HEADER, of};

    fn id_of(values: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).expect("a value"));
        }
        of(&headers).to_string()
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
