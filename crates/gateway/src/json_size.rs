//! Estimates how much memory a JSON text takes once it is parsed, without parsing it.

use serde_json::Value;

/// The bytes of a parsed value, besides those of its text. A list grows by doubling, so it may have space for twice its values.
const VALUE_BYTES: u64 = 2 * size_of::<Value>() as u64;
/// The bytes of a field's name, besides those of its text: the string, its hash and its position in the index.
const FIELD_BYTES: u64 = 96;

/// The most bytes that the values of a JSON text take, strings included. An invalid text takes no more before the parser refuses it.
pub(crate) fn parsed_bytes(json: &[u8]) -> u64 {
    let (mut values, mut fields) = (1_u64, 0_u64);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in json {
        if in_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            // A value begins after each of these.
            b',' | b'[' | b'{' => values += 1,
            b':' => fields += 1,
            _ => {}
        }
    }
    let text = u64::try_from(json.len()).unwrap_or(u64::MAX);
    text + values * VALUE_BYTES + fields * FIELD_BYTES
}

#[cfg(test)]
mod tests {
    use super::{VALUE_BYTES, parsed_bytes};

    #[test]
    fn the_estimate_counts_values_and_not_what_strings_contain() {
        let text = br#"{"a": "[1,2,\",3]{:,"}"#;
        let one_field = parsed_bytes(br#"{"a": "xxxxxxxxxxxxx"}"#);
        assert_eq!(parsed_bytes(text), one_field);
        let list = format!("[{}1]", "1,".repeat(999));
        let expected = 1_001 * VALUE_BYTES + 2_001;
        assert_eq!(parsed_bytes(list.as_bytes()), expected);
    }
}
