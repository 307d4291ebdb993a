//! The plain kinds of values: objects, lists, texts, numbers, words out of a list.
//!
//! Each function takes a value that may be absent, and gives it back in its type; if it is something
//! else, notes what is allowed and gives nothing. `null` counts as absent.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::{faults::Faults, path::Path};

/// How deep values may be nested that nobody here looks into (schemas, `extra_body`). Far below the
/// depth at which the JSON parser gives up (128), for they are stored and sent inside other documents.
pub(super) const DEPTH_MAX: usize = 64;

/// An object whose fields are taken out one by one.
pub(super) struct Object<'a> {
    at: Path<'a>,
    fields: Map<String, Value>,
}

impl<'a> Object<'a> {
    pub(super) fn of(value: Value, at: Path<'a>, faults: &mut Faults) -> Option<Self> {
        if let Value::Object(fields) = value {
            return Some(Self { at, fields });
        }
        faults.add(at, "must be an object");
        None
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field out that must be there.
    pub(super) fn require(&mut self, name: &str, faults: &mut Faults) -> Option<Value> {
        let value = self.take(name);
        if value.is_none() {
            faults.add(self.at.key(name), "is required");
        }
        value
    }

    /// Notes every field that was not taken: there is none of that name.
    pub(super) fn finish(self, allowed: &str, faults: &mut Faults) {
        for name in self.fields.keys() {
            faults.add(
                self.at.key(name),
                format_args!("is not known here; the fields are {allowed}"),
            );
        }
    }
}

/// A text of so many characters.
pub(super) fn text(
    value: Option<Value>,
    at: Path<'_>,
    chars: RangeInclusive<usize>,
    faults: &mut Faults,
) -> Option<String> {
    match value? {
        // The number of bytes bounds that of characters, so long texts are not counted in vain.
        Value::String(text)
            if text.len() >= *chars.start()
                && (text.len() <= *chars.end() || text.chars().count() <= *chars.end()) =>
        {
            return Some(text);
        }
        _ if *chars.end() == usize::MAX && *chars.start() == 0 => faults.add(at, "must be a text"),
        _ if *chars.end() == usize::MAX => faults.add(at, "must be a text that is not empty"),
        _ => faults.add(
            at,
            format_args!(
                "must be a text of {} to {} characters",
                chars.start(),
                chars.end()
            ),
        ),
    }
    None
}

/// A text of any length but none.
pub(super) fn any_text(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Option<String> {
    text(value, at, 1..=usize::MAX, faults)
}

/// The name of a function or a schema: 1 to 64 of `A-Z a-z 0-9 _ -`.
pub(super) fn name(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Option<String> {
    match value? {
        Value::String(text)
            if (1..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') =>
        {
            Some(text)
        }
        _ => {
            faults.add(
                at,
                "must be a text of 1 to 64 characters from A-Z a-z 0-9 _ -",
            );
            None
        }
    }
}

/// A whole number within a range.
pub(super) fn whole(
    value: Option<Value>,
    at: Path<'_>,
    range: RangeInclusive<u32>,
    faults: &mut Faults,
) -> Option<u32> {
    let number = value?
        .as_u64()
        .and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| range.contains(number));
    if number.is_none() {
        let (least, most) = range.into_inner();
        faults.add(
            at,
            format_args!("must be a whole number from {least} to {most}"),
        );
    }
    number
}

/// A number that `fits`; `allowed` says in words which do.
pub(super) fn number(
    value: Option<Value>,
    at: Path<'_>,
    fits: impl Fn(f64) -> bool,
    allowed: &str,
    faults: &mut Faults,
) -> Option<f64> {
    let number = value?.as_f64().filter(|number| fits(*number));
    if number.is_none() {
        faults.add(at, format_args!("must be a number {allowed}"));
    }
    number
}

/// `true` or `false`.
pub(super) fn flag(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Option<bool> {
    let flag = value?.as_bool();
    if flag.is_none() {
        faults.add(at, "must be true or false");
    }
    flag
}

/// One of a few words, each with what it means.
pub(super) fn word<T: Copy>(
    value: Option<Value>,
    at: Path<'_>,
    words: &[(&str, T)],
    faults: &mut Faults,
) -> Option<T> {
    let value = value?;
    let meaning = value
        .as_str()
        .and_then(|text| words.iter().find(|(word, _)| *word == text))
        .map(|(_, meaning)| *meaning);
    if meaning.is_none() {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        faults.add(at, format_args!("must be one of {}", words.join(", ")));
    }
    meaning
}

/// A list of so many elements.
pub(super) fn list(
    value: Option<Value>,
    at: Path<'_>,
    length: RangeInclusive<usize>,
    faults: &mut Faults,
) -> Option<Vec<Value>> {
    match value? {
        Value::Array(list) if length.contains(&list.len()) => Some(list),
        _ => {
            let (least, most) = length.into_inner();
            faults.add(
                at,
                format_args!("must be a list of {least} to {most} elements"),
            );
            None
        }
    }
}

/// An object that nobody here looks into.
pub(super) fn opaque_object(
    value: Option<Value>,
    at: Path<'_>,
    faults: &mut Faults,
) -> Option<Map<String, Value>> {
    match opaque(value, at, faults)? {
        Value::Object(fields) => Some(fields),
        _ => {
            faults.add(at, "must be an object");
            None
        }
    }
}

/// A value that nobody here looks into.
pub(super) fn opaque(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Option<Value> {
    let value = value?;
    if is_deeper(&value, DEPTH_MAX) {
        faults.add(at, format_args!("must be nested at most {DEPTH_MAX} deep"));
        return None;
    }
    Some(value)
}

/// Whether a value has more than `levels` levels. The parser bounds the recursion.
fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(list) => levels == 0 || list.iter().any(|v| is_deeper(v, levels - 1)),
        Value::Object(fields) => levels == 0 || fields.values().any(|v| is_deeper(v, levels - 1)),
        _ => false,
    }
}
