//! Whole numbers. JSON Schema counts `5.0` as the integer 5, so the fields accept it too.

use serde::{Deserialize, Deserializer, de};
use serde_json::Number;

/// A whole number, or `None` for null.
pub(in crate::validation) fn whole_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let whole = number.as_u64().or_else(|| {
        let is_whole = |float: &f64| float.fract() == 0.0 && *float >= 0.0;
        // The text of a whole float has no exponent. `abs` removes the sign of -0.
        let float = number.as_f64().filter(is_whole)?.abs();
        format!("{float:.0}").parse().ok()
    });
    let whole = whole.and_then(|number| u32::try_from(number).ok());
    whole
        .map(Some)
        .ok_or_else(|| de::Error::custom("not a whole number of 32 bits"))
}

#[cfg(test)]
mod tests {
    use super::whole_number;

    #[test]
    fn a_float_may_be_whole() {
        let read = |text: &str| {
            let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
            whole_number(value).ok()
        };
        assert_eq!(read("null"), Some(None));
        for (text, number) in [
            ("7", 7),
            ("7.0", 7),
            ("3e2", 300),
            ("0", 0),
            ("-0", 0),
            ("-0.0", 0),
        ] {
            assert_eq!(read(text), Some(Some(number)), "{text}");
        }
        for text in ["7.5", "-1", "1e10", "1e300", "\"7\"", "true"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
