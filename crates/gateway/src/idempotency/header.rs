//! Reads the header `Idempotency-Key`.

use axum::http::{HeaderMap, HeaderName};

use crate::problem::Problem;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const KEY_FORMAT: &str = "must be one header of 1 to 255 printable ASCII characters";
pub(crate) const KEY_BYTES_MAX: usize = 255;

/// The request's key; `None` if there is no such header. The draft requires a quoted string, but most clients send the text without
/// quotes. Both forms are accepted and mean the same key.
pub(crate) fn parse_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(&HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let invalid = || Problem::invalid_field("Idempotency-Key", KEY_FORMAT);
    if values.next().is_some() {
        return Err(invalid());
    }
    let text = value.to_str().map_err(|_| invalid())?.trim();
    let key = unquote(text).ok_or_else(invalid)?;
    let is_printable = key.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) || !is_printable {
        return Err(invalid());
    }
    Ok(Some(key))
}

/// The content of a quoted string (RFC 9651, section 3.3.3). Unquoted text is returned unchanged; a
/// malformed quoted string gives `None`.
fn unquote(text: &str) -> Option<String> {
    let Some(after_quote) = text.strip_prefix('"') else {
        return Some(text.to_owned());
    };
    let content = after_quote.strip_suffix('"')?;
    let mut key = String::with_capacity(content.len());
    let mut chars = content.chars();
    while let Some(character) = chars.next() {
        match character {
            '"' => return None,
            '\\' => key.push(
                chars
                    .next()
                    .filter(|character| matches!(character, '"' | '\\'))?,
            ),
            character => key.push(character),
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{HEADER, parse_key};

    fn parsed(values: &[&[u8]]) -> Option<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        parse_key(&headers).ok()
    }

    #[test]
    fn a_quoted_key_equals_the_key_without_quotes() {
        assert_eq!(parsed(&[]), Some(None));
        assert_eq!(parsed(&[b"a b"]), Some(Some(String::from("a b"))));
        assert_eq!(
            parsed(&[br#""a \"b\\""#]),
            Some(Some(String::from(r#"a "b\"#)))
        );
    }

    #[test]
    fn an_invalid_key_is_refused() {
        let long = [b'x'; 256];
        for values in [
            &[b"".as_slice()][..],
            &[b"\"\""],
            &[b"\"open"],
            &[b"\"a\"b\""],
            &[b"\"\\x\""],
            &["é".as_bytes()],
            &[b"a", b"b"],
            &[&long],
        ] {
            assert_eq!(parsed(values), None, "the headers {values:?} were accepted");
        }
    }
}
