//! The basic kinds of values: objects, arrays, strings, numbers, and words from a list.
//!
//! Each function takes a value that may be absent, and returns it in its Rust type. For a value of the wrong kind
//! it adds an error and returns `None`. [`Object`] treats a field that is `null` as absent.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::{field_errors::FieldErrors, field_hints, field_path::FieldPath};

/// How deep an opaque value (a schema, `extra_body`) may be nested. The JSON parser's limit is 128. This limit is far
/// lower, because such values are stored and sent inside other documents.
const DEPTH_MAX: usize = 64;

/// An object whose fields are removed one by one as they are read.
pub(super) struct Object<'a> {
    path: FieldPath<'a>,
    fields: Map<String, Value>,
}

impl<'a> Object<'a> {
    pub(super) fn new(value: Value, path: FieldPath<'a>, errors: &mut FieldErrors) -> Option<Self> {
        if let Value::Object(fields) = value {
            return Some(Self { path, fields });
        }
        errors.add(path, "must be an object");
        None
    }

    /// Removes an optional field and returns its value.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// Removes a required field and returns its value.
    pub(super) fn require(&mut self, name: &str, errors: &mut FieldErrors) -> Option<Value> {
        let value = self.take(name);
        if value.is_none() {
            errors.add(self.path.key(name), "is required");
        }
        value
    }

    /// Whether the object has the field, also with the value null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Removes all fields whose value is null.
    pub(super) fn ignore_nulls(&mut self) {
        self.fields.retain(|_, value| !value.is_null());
    }

    /// Removes fields whose values are not used.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.fields.remove(*name);
        }
    }

    /// Removes fields that must be null or empty. Adds an error for each field with another value.
    pub(super) fn ignore_empty(&mut self, names: &[&str], errors: &mut FieldErrors) {
        for name in names {
            if self.take(name).is_some_and(|value| !is_empty(&value)) {
                errors.add(self.path.key(name), "must be null or empty");
            }
        }
    }

    /// Adds an error for each field that was not removed, because the API does not define it. `known_fields` lists the
    /// fields that the API defines.
    pub(super) fn refuse_unknown(self, known_fields: &str, errors: &mut FieldErrors) {
        for name in self.fields.keys() {
            let hint = field_hints::hint(name, known_fields);
            let hint = hint.filter(|_| matches!(self.path, FieldPath::Root));
            match hint {
                Some(hint) => errors.add(self.path.key(name), hint),
                None => errors.add(
                    self.path.key(name),
                    format_args!("is an unknown field; the fields are {known_fields}"),
                ),
            }
        }
    }
}

/// A string whose number of characters is in the range.
pub(super) fn string(
    value: Option<Value>,
    path: FieldPath<'_>,
    chars: RangeInclusive<usize>,
    errors: &mut FieldErrors,
) -> Option<String> {
    match value? {
        // A string has at most as many characters as bytes. So the characters are counted only if the bytes exceed the
        // limit.
        Value::String(text)
            if text.len() >= *chars.start()
                && (text.len() <= *chars.end() || text.chars().count() <= *chars.end()) =>
        {
            return Some(text);
        }
        _ if *chars.end() == usize::MAX && *chars.start() == 0 => {
            errors.add(path, "must be a string");
        }
        _ if *chars.end() == usize::MAX => errors.add(path, "must be a non-empty string"),
        _ => errors.add(
            path,
            format_args!(
                "must be a string of {} to {} characters",
                chars.start(),
                chars.end()
            ),
        ),
    }
    None
}

/// A string with at least one character.
pub(super) fn non_empty_string(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<String> {
    string(value, path, 1..=usize::MAX, errors)
}

/// The name of a function or a schema: 1 to 64 characters from `A-Z a-z 0-9 _ -`.
pub(super) fn identifier(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<String> {
    match value? {
        Value::String(text)
            if (1..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') =>
        {
            Some(text)
        }
        _ => {
            errors.add(
                path,
                "must be a string of 1 to 64 characters from A-Z a-z 0-9 _ -",
            );
            None
        }
    }
}

/// A whole number in the range.
pub(super) fn integer(
    value: Option<Value>,
    path: FieldPath<'_>,
    range: RangeInclusive<u32>,
    errors: &mut FieldErrors,
) -> Option<u32> {
    let number = value?
        .as_u64()
        .and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| range.contains(number));
    if number.is_none() {
        let (least, most) = range.into_inner();
        errors.add(
            path,
            format_args!("must be a whole number from {least} to {most}"),
        );
    }
    number
}

/// A number for which `is_valid` returns true. `allowed` describes these numbers in the error message.
pub(super) fn number(
    value: Option<Value>,
    path: FieldPath<'_>,
    is_valid: impl Fn(f64) -> bool,
    allowed: &str,
    errors: &mut FieldErrors,
) -> Option<f64> {
    let number = value?.as_f64().filter(|number| is_valid(*number));
    if number.is_none() {
        errors.add(path, format_args!("must be a number {allowed}"));
    }
    number
}

/// `true` or `false`.
pub(super) fn boolean(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<bool> {
    let flag = value?.as_bool();
    if flag.is_none() {
        errors.add(path, "must be true or false");
    }
    flag
}

/// One of the words. Returns the Rust value that `words` pairs with the word.
pub(super) fn one_of<T: Clone>(
    value: Option<Value>,
    path: FieldPath<'_>,
    words: &[(&str, T)],
    errors: &mut FieldErrors,
) -> Option<T> {
    let value = value?;
    let meaning = value
        .as_str()
        .and_then(|text| words.iter().find(|(word, _)| *word == text))
        .map(|(_, meaning)| meaning.clone());
    if meaning.is_none() {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        errors.add(path, format_args!("must be one of {}", words.join(", ")));
    }
    meaning
}

/// An array whose length is in the range.
pub(super) fn array(
    value: Option<Value>,
    path: FieldPath<'_>,
    length: RangeInclusive<usize>,
    errors: &mut FieldErrors,
) -> Option<Vec<Value>> {
    match value? {
        Value::Array(elements) if length.contains(&elements.len()) => Some(elements),
        _ => {
            let (least, most) = length.into_inner();
            errors.add(
                path,
                format_args!("must be an array of {least} to {most} elements"),
            );
            None
        }
    }
}

/// An object that is stored without a check of its fields.
pub(super) fn opaque_object(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<Map<String, Value>> {
    match opaque(value, path, errors)? {
        Value::Object(fields) => Some(fields),
        _ => {
            errors.add(path, "must be an object");
            None
        }
    }
}

/// A value that is stored without a check of its content.
pub(super) fn opaque(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<Value> {
    let value = value?;
    if is_nested_deeper(&value, DEPTH_MAX) {
        errors.add(
            path,
            format_args!("must be nested at most {DEPTH_MAX} levels deep"),
        );
        return None;
    }
    Some(value)
}

/// Returns whether a value is an empty string, array or object.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Returns whether a value has more than `levels` levels. The depth limit of the JSON parser bounds the recursion.
fn is_nested_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(elements) => {
            levels == 0
                || elements
                    .iter()
                    .any(|value| is_nested_deeper(value, levels - 1))
        }
        Value::Object(fields) => {
            levels == 0
                || fields
                    .values()
                    .any(|value| is_nested_deeper(value, levels - 1))
        }
        _ => false,
    }
}
