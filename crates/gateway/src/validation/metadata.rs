//! The client's own notes on a job.

use serde_json::{Map, Value};

use super::{faults::Faults, path::Path};

const KEYS_MAX: usize = 16;
const KEY_CHARS_MAX: usize = 64;
const VALUE_CHARS_MAX: usize = 512;

/// Reads the notes; none if there are none.
pub(super) fn read(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Map<String, Value> {
    let notes = match value {
        None => return Map::new(),
        Some(Value::Object(notes)) if notes.len() <= KEYS_MAX => notes,
        Some(_) => {
            faults.add(
                at,
                format_args!("must be an object of at most {KEYS_MAX} keys"),
            );
            return Map::new();
        }
    };
    for (key, value) in &notes {
        if !(1..=KEY_CHARS_MAX).contains(&key.chars().count()) {
            let allowed = format_args!("must have a key of 1 to {KEY_CHARS_MAX} characters");
            faults.add(at.key(key), allowed);
        }
        if value
            .as_str()
            .is_none_or(|text| text.chars().count() > VALUE_CHARS_MAX)
        {
            let allowed = format_args!("must be a text of at most {VALUE_CHARS_MAX} characters");
            faults.add(at.key(key), allowed);
        }
    }
    notes
}
