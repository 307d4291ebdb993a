//! The client's own data about a job.

use serde_json::{Map, Value};

use super::{field_errors::FieldErrors, field_path::FieldPath};

const KEYS_MAX: usize = 16;
const KEY_CHARS_MAX: usize = 64;
const VALUE_CHARS_MAX: usize = 512;

/// Reads the metadata. Absent metadata becomes an empty map.
pub(super) fn read(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Map<String, Value> {
    let metadata = match value {
        None => return Map::new(),
        Some(Value::Object(metadata)) if metadata.len() <= KEYS_MAX => metadata,
        Some(_) => {
            let error_message = format_args!("must be an object of at most {KEYS_MAX} keys");
            errors.add(path, error_message);
            return Map::new();
        }
    };
    for (key, value) in &metadata {
        if !(1..=KEY_CHARS_MAX).contains(&key.chars().count()) {
            let error_message = format_args!("must have a key of 1 to {KEY_CHARS_MAX} characters");
            errors.add(path.key(key), error_message);
        }
        if value
            .as_str()
            .is_none_or(|text| text.chars().count() > VALUE_CHARS_MAX)
        {
            let error_message =
                format_args!("must be a string of at most {VALUE_CHARS_MAX} characters");
            errors.add(path.key(key), error_message);
        }
    }
    metadata
}
