//! Reads the query parameters of lists.

use crate::problem::{FieldError, Problem};

/// The most entries of a page.
pub(crate) const LIST_LIMIT_MAX: usize = 100;
/// The entries of a page without `limit`.
pub(crate) const LIST_LIMIT_DEFAULT: usize = 20;

/// Gives each parameter with its decoded text to `set`, which returns whether the text is valid. Of several with the same name, the
/// last one counts. The error names each wrong parameter and what it accepts (`allowed`).
pub(crate) fn read(
    query: Option<&str>,
    mut set: impl FnMut(&str, &str) -> bool,
    allowed: impl Fn(&str) -> String,
) -> Result<(), Problem> {
    let mut errors: Vec<FieldError> = Vec::new();
    let pairs = query.unwrap_or_default().split('&');
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        errors.retain(|error| error.field != name);
        let is_valid = decode(text).is_some_and(|text| set(name, &text));
        if !is_valid {
            errors.push(FieldError {
                field: name.to_owned(),
                message: allowed(name),
            });
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid_fields(errors))
    }
}

/// The number of a `limit`; `None` if it is out of range, or has a sign.
pub(crate) fn limit(text: &str) -> Option<usize> {
    let only_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = only_digits.then(|| text.parse().ok())?;
    limit.filter(|limit| (1..=LIST_LIMIT_MAX).contains(limit))
}

/// What `limit`, `order` and `cursor` accept.
pub(crate) fn allowed(name: &str) -> String {
    match name {
        "limit" => format!("must be a whole number from 1 to {LIST_LIMIT_MAX}"),
        "order" => String::from("must be asc or desc"),
        _ => String::from("must be the next_cursor of another page"),
    }
}

/// Decodes a text of a query (`application/x-www-form-urlencoded`). `None` if it is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                let digits = str::from_utf8(digits).ok()?;
                u8::from_str_radix(digits, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}
