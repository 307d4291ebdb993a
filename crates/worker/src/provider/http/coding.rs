//! Recognizes compressed answers. Every request asks for no compression (RFC 9110, section 12.5.3), because the worker
//! cannot decompress an answer.

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

/// The `Accept-Encoding` of every request.
pub(super) const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// The most bytes of a coding's name that an error message shows.
const SHOWN_BYTES_MAX: usize = 40;

/// The content coding of an answer (RFC 9110, section 8.4), such as `gzip`. `None`: the body is not encoded.
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(CONTENT_ENCODING).into_iter();
    // A value that is not text counts as an unknown coding.
    let mut codings = lines.flat_map(|line| line.to_str().unwrap_or("?").split(','));
    let is_coding = |coding: &&str| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity");
    let coding = codings.by_ref().map(str::trim).find(is_coding)?;
    Some(&coding[..coding.len().min(SHOWN_BYTES_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_identity_counts_as_no_coding() {
        for (lines, coding) in [
            (&[][..], None),
            (&["identity"], None),
            (&["Identity, "], None),
            (&["gzip"], Some("gzip")),
            (&["identity", " identity , br"], Some("br")),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(line));
            }
            assert_eq!(of(&headers), coding, "headers: {lines:?}");
        }
    }
}
