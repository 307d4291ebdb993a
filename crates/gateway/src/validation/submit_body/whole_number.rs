//! Whole numbers. JSON Schema counts `5.0` as the integer 5, so the fields accept it too.

use serde::{Deserialize, Deserializer, de};
use serde_json::Number;

/// A whole number, or `None` for null.
pub(super) fn whole_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let whole = number.as_u64().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
        // The text of a whole float has no exponent.
        format!("{float:.0}").parse().ok()
    });
    let whole = whole.and_then(|number| u32::try_from(number).ok());
    whole
        .map(Some)
        .ok_or_else(|| de::Error::custom("not a whole number of 32 bits"))
}
