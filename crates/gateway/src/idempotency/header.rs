//! Reads the header `Idempotency-Key`.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName};
use regex::Regex;

use crate::{
    problem::{Problem, RequestPart},
    problem_code::ProblemCode,
};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The header's value: a text that does not begin with a quote, or a quoted string (RFC 9651, section 3.3.3). Both have 1 to 255
/// characters. This pattern is published in the OpenAPI document, and decides which values are accepted.
pub(crate) const KEY_PATTERN: &str =
    r#"^([!#-~]([ -~]{0,253}[!-~])?|"([ !#-\[\]-~]|\\["\\]){1,255}")$"#;
/// The same rule in words.
pub(crate) const KEY_ALLOWED: &str = "1 to 255 printable ASCII characters, the first of which is no quote, or a quoted string \
                                      (RFC 9651) of 1 to 255 such characters";

static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(KEY_PATTERN).ok());

/// The request's key; `None` if there is no such header. The draft of the header's standard requires a quoted string, but most clients
/// send the text without quotes. Both forms are accepted and mean the same key.
pub(crate) fn parse_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(&HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // The spaces around a value are no part of it (RFC 9110, section 5.5).
    let text = value
        .to_str()
        .ok()
        .map(|text| text.trim_matches([' ', '\t']));
    let form = FORM.as_ref();
    let text = text.filter(|text| form.is_some_and(|form| form.is_match(text)));
    match (text, values.next()) {
        (Some(text), None) => Ok(Some(unquote(text))),
        _ => {
            let message = format!("must be one header of {KEY_ALLOWED}");
            let code = ProblemCode::InvalidRequest;
            let (part, name) = (RequestPart::Header, "Idempotency-Key");
            Err(Problem::with_field_error(code, part, name, message))
        }
    }
}

/// The content of a valid quoted string. Other text is returned unchanged.
fn unquote(text: &str) -> String {
    let content = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let Some(content) = content else {
        return text.to_owned();
    };
    let mut key = String::with_capacity(content.len());
    let mut is_escaped = false;
    for character in content.chars() {
        is_escaped = character == '\\' && !is_escaped;
        if !is_escaped {
            key.push(character);
        }
    }
    key
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
        assert_eq!(parsed(&[br#""\\\\""#]), Some(Some(String::from(r"\\"))));
        assert_eq!(parsed(&[b" \ta\t "]), Some(Some(String::from("a"))));
    }

    #[test]
    fn the_longest_key_may_be_quoted() {
        let key = "\"".repeat(255);
        let quoted = format!("\"{}\"", r#"\""#.repeat(255));
        assert_eq!(parsed(&[quoted.as_bytes()]), Some(Some(key)));
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
