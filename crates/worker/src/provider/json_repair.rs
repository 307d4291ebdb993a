//! Repairs mistakes that services and models make in their JSON: invalid UTF-8, lone surrogates, control characters within
//! strings, numbers such as `NaN`, and values that are nested too deeply. Other mistakes stay as they are.

use std::borrow::Cow;

/// The most levels of objects and lists in an answer. The JSON parser reads at most 128 levels, and a stored session puts
/// further levels around those of the answer. With more levels in the answer, the stored session could not be read again.
pub(super) const LEVELS_MAX: usize = 64;

/// Replaces a character that cannot be read.
const REPLACEMENT: &str = "\u{fffd}";

/// Words for numbers that are not finite. JSON has no such numbers (RFC 8259, section 6).
const NOT_FINITE: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// The JSON with these replacements:
///
/// - a replacement character for each unreadable character;
/// - an escape sequence for each control character within a string;
/// - null for each number that is not finite;
/// - null for each object or list that is nested deeper than [`LEVELS_MAX`] levels.
pub(super) fn repaired(json: &[u8]) -> String {
    let json = String::from_utf8_lossy(json);
    let mut repaired = String::with_capacity(json.len());
    let mut in_string = false;
    let mut level = 0_usize;
    let mut rest = &*json;
    while !rest.is_empty() {
        let (length, replacement) = if in_string {
            piece_of_string(rest)
        } else {
            piece_between_strings(rest)
        };
        let (piece, after) = rest.split_at(length);
        rest = after;
        in_string ^= piece == "\"";
        let is_opening = !in_string && matches!(piece, "{" | "[");
        let is_closing = !in_string && matches!(piece, "}" | "]");
        level += usize::from(is_opening);
        if level <= LEVELS_MAX {
            repaired.push_str(replacement.as_deref().unwrap_or(piece));
        } else if is_opening && level == LEVELS_MAX + 1 {
            repaired.push_str("null");
        }
        level -= usize::from(is_closing && level > 0);
    }
    repaired
}

/// The length in bytes of the first character or escape sequence of `rest`, which begins within a string. A control character
/// or a lone surrogate (RFC 8259, sections 7 and 8.2) has a replacement.
fn piece_of_string(rest: &str) -> (usize, Option<Cow<'static, str>>) {
    let Some(escape) = rest.strip_prefix('\\') else {
        let control = rest.bytes().next().filter(|byte| *byte < b' ');
        let escaped = control.map(|byte| format!("\\u{byte:04x}").into());
        return (first_char_bytes(rest), escaped);
    };
    let next_unit = || rest.get(6..).and_then(utf16_unit);
    match utf16_unit(rest) {
        Some(0xd800..=0xdbff) if matches!(next_unit(), Some(0xdc00..=0xdfff)) => (12, None),
        Some(0xd800..=0xdfff) => (6, Some(REPLACEMENT.into())),
        Some(_) => (6, None),
        None => (1 + first_char_bytes(escape), None),
    }
}

/// The length in bytes of the first character of `rest`, which begins outside of a string, or of a number that is not finite.
/// Such a number has a replacement.
fn piece_between_strings(rest: &str) -> (usize, Option<Cow<'static, str>>) {
    let word = NOT_FINITE.iter().find(|word| rest.starts_with(**word));
    match word {
        Some(word) => (word.len(), Some("null".into())),
        None => (first_char_bytes(rest), None),
    }
}

/// The code unit of an escape sequence such as `\u00e9`.
fn utf16_unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

fn first_char_bytes(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{LEVELS_MAX, repaired};

    #[test]
    fn unreadable_characters_are_replaced() {
        for (json, expected) in [
            (&b"{\"a\": \"x\\ud83d\"}"[..], json!({"a": "x\u{fffd}"})),
            (b"{\"a\": \"\\udc00x\"}", json!({"a": "\u{fffd}x"})),
            (
                b"{\"a\": \"\\ud83d\\ud83d\\ude00\"}",
                json!({"a": "\u{fffd}\u{1f600}"}),
            ),
            (
                b"{\"a\": \"\\ud83d\\n\\u00e9\"}",
                json!({"a": "\u{fffd}\n\u{e9}"}),
            ),
            (b"{\"a\": \"\\\\ud83d\"}", json!({"a": "\\ud83d"})),
            (b"{\"a\": \"x\xff\"}", json!({"a": "x\u{fffd}"})),
        ] {
            let repaired = repaired(json);
            let read: Value = serde_json::from_str(&repaired).expect("the text is JSON");
            assert_eq!(read, expected, "{repaired}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_become_null_outside_of_strings() {
        let json = br#"{"NaN": [NaN, -Infinity, Infinity], "b": "\"NaN Infinity"}"#;
        let read: Value = serde_json::from_str(&repaired(json)).expect("the text is JSON");
        assert_eq!(
            read,
            json!({"NaN": [null, null, null], "b": "\"NaN Infinity"})
        );
    }

    #[test]
    fn control_characters_within_strings_are_escaped() {
        let json = b"{\n\"a\": \"x\n\ty\x01\\n\"\t}";
        let read: Value = serde_json::from_str(&repaired(json)).expect("the text is JSON");
        assert_eq!(read, json!({"a": "x\n\ty\u{1}\n"}));
    }

    #[test]
    fn values_at_too_many_levels_become_null() {
        let nested = |levels: usize| format!("{}\"]\"{}", "[".repeat(levels), "]".repeat(levels));
        let allowed = nested(LEVELS_MAX);
        assert_eq!(repaired(allowed.as_bytes()), allowed);
        let left = format!("{}null{}", "[".repeat(LEVELS_MAX), "]".repeat(LEVELS_MAX));
        for levels in [LEVELS_MAX + 1, LEVELS_MAX + 2, 1_000] {
            assert_eq!(repaired(nested(levels).as_bytes()), left, "{levels} levels");
        }
        let deep = nested(LEVELS_MAX);
        let fields = format!(r#"{{"a": {{"b": {deep}}}, "c": [1]}}"#);
        let read: Value = serde_json::from_str(&repaired(fields.as_bytes())).expect("JSON");
        assert_eq!(read["c"], json!([1]));
    }

    proptest! {
        #[test]
        fn valid_json_stays_as_it_is(texts in prop::collection::vec(".{0,20}", 0..5), number: f64) {
            let json = json!({"texts": texts, "number": number}).to_string();
            prop_assert_eq!(repaired(json.as_bytes()), json);
        }

        #[test]
        fn any_bytes_can_be_repaired(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            repaired(&bytes);
        }
    }
}
