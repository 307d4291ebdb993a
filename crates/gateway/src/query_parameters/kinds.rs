//! The kinds of values that several routes accept. A kind that only one route uses is defined beside the handler of the
//! route.

use forebay_shared::time::TimeMs;
use serde_json::{Value, json};

use super::{
    parameter::{QueryParameter, ValueKind},
    query::Query,
};

/// The most entries of a page.
const LIST_LIMIT_MAX: u64 = 100;
/// The entries of a page without `limit`.
const LIST_LIMIT_DEFAULT: u64 = 20;

/// A whole number, without a sign.
pub(crate) struct WholeNumber {
    pub(crate) min: u64,
    pub(crate) max: u64,
    /// The number that means the same as no parameter; `None` if there is no such number.
    pub(crate) default: Option<u64>,
}

impl ValueKind for WholeNumber {
    type Value = u64;

    fn read(&self, text: &str) -> Option<u64> {
        // `parse` accepts a sign.
        let only_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = only_digits.then(|| text.parse().ok())?;
        number.filter(|number| (self.min..=self.max).contains(number))
    }

    fn allowed(&self) -> String {
        format!("must be a whole number from {} to {}", self.min, self.max)
    }

    fn schema(&self) -> Value {
        let mut schema = json!({"type": "integer", "minimum": self.min, "maximum": self.max});
        if let Some(default) = self.default {
            schema["default"] = json!(default);
        }
        schema
    }
}

/// `asc` or `desc`, read as whether the oldest come first.
pub(crate) struct Order;

impl ValueKind for Order {
    type Value = bool;

    fn read(&self, text: &str) -> Option<bool> {
        match text {
            "asc" => Some(true),
            "desc" => Some(false),
            _ => None,
        }
    }

    fn allowed(&self) -> String {
        String::from("must be asc or desc")
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "enum": ["asc", "desc"], "default": "desc"})
    }
}

/// A `date-time` of RFC 3339 (section 5.6), which is also a format of JSON Schema.
pub(crate) struct Time;

impl ValueKind for Time {
    type Value = TimeMs;

    /// A `+` is a space in a query, but clients often send the offset of a time without encoding its `+`.
    fn read(&self, text: &str) -> Option<TimeMs> {
        TimeMs::parse_rfc3339(&text.replace(' ', "+"))
    }

    fn allowed(&self) -> String {
        String::from("must be a time in the form of RFC 3339, such as 2026-01-31T12:00:00Z")
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "format": "date-time"})
    }
}

/// The cursor of a list, read by this function.
pub(crate) struct Cursor<T>(pub(crate) fn(&str) -> Option<T>);

impl<T> ValueKind for Cursor<T> {
    type Value = T;

    fn read(&self, text: &str) -> Option<T> {
        (self.0)(text)
    }

    fn allowed(&self) -> String {
        String::from("must be the next_cursor of another page")
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

/// The `limit` of a list.
pub(crate) const fn list_limit(description: &'static str) -> QueryParameter<WholeNumber> {
    QueryParameter {
        name: "limit",
        description,
        kind: WholeNumber {
            min: 1,
            max: LIST_LIMIT_MAX,
            default: Some(LIST_LIMIT_DEFAULT),
        },
    }
}

/// How many entries a page of a list has.
pub(crate) fn page_limit(query: Query<'_>, limit: &QueryParameter<WholeNumber>) -> usize {
    let limit = query.get(limit).unwrap_or(LIST_LIMIT_DEFAULT);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The `order` of a list.
pub(crate) const fn order(description: &'static str) -> QueryParameter<Order> {
    QueryParameter {
        name: "order",
        description,
        kind: Order,
    }
}

/// The `cursor` of a list.
pub(crate) const fn cursor<T>(
    description: &'static str,
    read: fn(&str) -> Option<T>,
) -> QueryParameter<Cursor<T>> {
    QueryParameter {
        name: "cursor",
        description,
        kind: Cursor(read),
    }
}
