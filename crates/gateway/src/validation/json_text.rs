//! Parses a body as JSON. The problem of a body that is not JSON names what the body is instead.

use serde_json::Value;

use crate::{
    problem::{Problem, RequestPart},
    problem_code::ProblemCode,
};

/// How a body that is not JSON may begin, and what it is then.
const PREFIXES: [(&[u8], &str); 8] = [
    (b"\x00\x00\xfe\xff", "is UTF-32; JSON must be UTF-8"),
    (b"\xff\xfe\x00\x00", "is UTF-32; JSON must be UTF-8"),
    (b"\xff\xfe", "is UTF-16; JSON must be UTF-8"),
    (b"\xfe\xff", "is UTF-16; JSON must be UTF-8"),
    (
        b"\xef\xbb\xbf",
        "begins with a byte order mark (BOM); send it without the bytes EF BB BF",
    ),
    (
        b"\x1f\x8b",
        "is compressed with gzip; send it without compression",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "is compressed with zstd; send it without compression",
    ),
    (
        b"\x00",
        "begins with a zero byte; JSON must be UTF-8, not UTF-16 or UTF-32",
    ),
];

/// Words that are not JSON, and what to write instead.
const WORDS: [(&str, &str); 9] = [
    ("NaN", "JSON has no NaN; write a number or null"),
    ("nan", "JSON has no NaN; write a number or null"),
    ("Infinity", "JSON has no Infinity; write a number or null"),
    ("-Infinity", "JSON has no Infinity; write a number or null"),
    ("-NaN", "JSON has no NaN; write a number or null"),
    ("True", "True is not JSON; write true"),
    ("False", "False is not JSON; write false"),
    ("None", "None is not JSON; write null"),
    (
        "undefined",
        "undefined is not JSON; write null or leave the field out",
    ),
];

/// Parses a body. `example` is a body that the route accepts.
pub(super) fn parse(body: &[u8], example: &str) -> Result<Value, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        if body.iter().all(u8::is_ascii_whitespace) {
            empty(example)
        } else {
            invalid(&reason(body, &error))
        }
    })
}

/// The problem for a body without content.
pub(super) fn empty(example: &str) -> Problem {
    invalid(&format!("is empty; send a JSON object such as {example}"))
}

fn invalid(message: &str) -> Problem {
    Problem::with_field_error(ProblemCode::InvalidJson, RequestPart::Body, "body", message)
}

/// Why a body is not JSON. Contains nothing that the client wrote, except words of the list.
fn reason(body: &[u8], error: &serde_json::Error) -> String {
    if let Some((_, reason)) = PREFIXES.iter().find(|(prefix, _)| body.starts_with(prefix)) {
        return (*reason).to_owned();
    }
    if body.get(1) == Some(&0) {
        return String::from("is UTF-16 or UTF-32; JSON must be UTF-8");
    }
    if let Err(invalid) = std::str::from_utf8(body) {
        let position = invalid.valid_up_to();
        return format!("is not UTF-8: the byte at position {position} is invalid");
    }
    let text = error.to_string();
    if text.starts_with("recursion limit exceeded") {
        return String::from("is nested too deeply; at most 127 levels are allowed");
    }
    if text.starts_with("lone leading surrogate")
        || text.starts_with("unexpected end of hex escape")
    {
        let (line, column) = (error.line(), error.column());
        return format!(
            "has half of a surrogate pair at line {line} column {column}: \\ud800 to \\udfff must come in pairs"
        );
    }
    let word = word_at(body, error.line(), error.column());
    if let Some((_, instead)) = WORDS.iter().find(|(known, _)| known.as_bytes() == word) {
        return format!("is not JSON: {text}: {instead}");
    }
    if error.is_eof() {
        return format!("is cut off: {text}");
    }
    format!("is not JSON: {text}")
}

/// The word around a position. Lines and columns count from 1.
fn word_at(body: &[u8], line: usize, column: usize) -> &[u8] {
    let is_word = |byte: &&u8| byte.is_ascii_alphabetic() || **byte == b'-';
    let mut lines = body.split(|byte| *byte == b'\n');
    let text = lines.nth(line.saturating_sub(1)).unwrap_or_default();
    let position = column.saturating_sub(1).min(text.len());
    let before = text[..position].iter().rev().take_while(is_word).count();
    let after = text[position..].iter().take_while(is_word).count();
    &text[position - before..position + after]
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde_json::json;

    use super::{parse, reason};

    #[track_caller]
    fn assert_named(body: &[u8], expected: &str) {
        let error = serde_json::from_slice::<serde_json::Value>(body).expect_err("not JSON");
        let reason = reason(body, &error);
        assert!(reason.contains(expected), "{body:?}: {reason}");
        let problem = parse(body, "{}").expect_err("not JSON");
        assert_eq!(problem.into_response().status(), 400);
    }

    /// With its feature `raw_value`, serde_json reads `{"$serde_json::private::RawValue": TEXT}` as the JSON in TEXT. With
    /// `arbitrary_precision`, it reads an object with the other key as a number. Then a parsed body could take more memory than was
    /// reserved for it, and be nested more deeply than is allowed. Any dependency can turn on these features.
    #[test]
    fn no_key_makes_the_parser_read_a_text_as_json() {
        for key in [
            "$serde_json::private::RawValue",
            "$serde_json::private::Number",
        ] {
            let body = json!({ key: "[1]" });
            let parsed = parse(body.to_string().as_bytes(), "{}").expect("valid JSON");
            assert_eq!(parsed, body);
            assert!(parsed.is_object(), "{key} is a key like others");
        }
    }

    #[test]
    fn what_a_body_is_instead_of_json_is_named() {
        let utf16: Vec<u8> = "{\"input\":1}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let with_bom = [b"\xff\xfe".as_slice(), &utf16].concat();
        assert_named(b"\xef\xbb\xbf{\"input\":\"x\"}", "BOM");
        assert_named(&utf16, "UTF-16");
        assert_named(&with_bom, "UTF-16");
        assert_named(b"\x1f\x8b\x08\x00", "gzip");
        assert_named(
            b"{\"input\": \"\xff\"}",
            "not UTF-8: the byte at position 11",
        );
        assert_named(b"{\"input\": \"x\"", "cut off");
        assert_named(b"{\"input\": \"\\ud83d\"}", "surrogate");
        assert_named(b"{\"input\": \"\\ud83dx\"}", "surrogate");
        assert_named(b"{\"input\": \"\\udc00\"}", "surrogate");
        assert_named("[".repeat(200).as_bytes(), "nested too deeply");
    }

    #[test]
    fn a_body_without_content_is_answered_with_an_example() {
        for body in [&b""[..], b" \r\n\t"] {
            let problem = parse(body, "{\"a\": 1}").expect_err("not JSON");
            let message = &problem.errors()[0].message;
            assert_eq!(message, "is empty; send a JSON object such as {\"a\": 1}");
        }
    }

    #[test]
    fn words_of_other_languages_are_named() {
        for (value, expected) in [
            ("NaN", "no NaN"),
            ("Infinity", "no Infinity"),
            ("-Infinity", "no Infinity"),
            ("True", "write true"),
            ("False", "write false"),
            ("None", "write null"),
            ("undefined", "write null"),
        ] {
            for body in [
                format!("{{\"temperature\": {value}}}"),
                format!("{{\n \"stop\": [\"é\", {value}, 1]}}"),
                value.to_owned(),
            ] {
                assert_named(body.as_bytes(), expected);
            }
        }
        // A text before the error does not count.
        assert_named(b"{\"input\": \"NaN\" x}", "is not JSON: expected");
    }
}
