//! Reads the reply to a command or a script, part by part.

use forebay_shared::{
    document::{self, Document},
    store::StoreError,
};
use redis::Value;

use super::redis_error::UnexpectedReply;
use crate::rejection::broken_data;

/// A reply or a part of a reply.
pub(super) struct ReplyPart {
    /// The name of the command or script, for error messages.
    call: &'static str,
    value: Value,
}

impl ReplyPart {
    pub(super) const fn new(call: &'static str, value: Value) -> Self {
        Self { call, value }
    }

    fn unexpected(&self) -> StoreError {
        broken_data(UnexpectedReply(self.call))
    }

    /// Whether the script returned 1. A commit that returns no run inputs returns 1 when it has written everything.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.value, Value::Int(1))
    }

    /// Whether the reply is a list of this length.
    pub(super) fn has_parts(&self, length: usize) -> bool {
        matches!(&self.value, Value::Array(values) if values.len() == length)
    }

    /// The integer that a script returns instead of a list: a size or a code; 0 if it is negative. `None` for any other reply.
    pub(super) fn as_u64(&self) -> Option<u64> {
        match self.value {
            Value::Int(int) => Some(u64::try_from(int).unwrap_or(0)),
            _ => None,
        }
    }

    /// The reply; `None` if it is nil. Redis sends nil when a script returns `false`.
    pub(super) fn non_nil(self) -> Option<Self> {
        (!matches!(self.value, Value::Nil)).then_some(self)
    }

    /// The parts of a list.
    pub(super) fn list(self) -> Result<impl Iterator<Item = Self>, StoreError> {
        let call = self.call;
        match self.value {
            Value::Array(values) => Ok(values.into_iter().map(move |value| Self { call, value })),
            _ => Err(self.unexpected()),
        }
    }

    /// The parts of a list of length `N`.
    pub(super) fn parts<const N: usize>(self) -> Result<[Self; N], StoreError> {
        let call = self.call;
        let parts: Vec<Self> = self.list()?.collect();
        parts
            .try_into()
            .map_err(|_| broken_data(UnexpectedReply(call)))
    }

    /// The bytes of a string.
    pub(super) fn bytes(self) -> Result<Vec<u8>, StoreError> {
        match self.value {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            _ => Err(self.unexpected()),
        }
    }

    /// A string.
    pub(super) fn text(self) -> Result<String, StoreError> {
        String::from_utf8(self.bytes()?).map_err(broken_data)
    }

    /// An integer. Redis returns scores as strings.
    pub(super) fn int(self) -> Result<i64, StoreError> {
        match &self.value {
            Value::Int(int) => Ok(*int),
            Value::BulkString(bytes) => std::str::from_utf8(bytes)
                .ok()
                .and_then(parse_int)
                .ok_or_else(|| self.unexpected()),
            _ => Err(self.unexpected()),
        }
    }

    /// An integer; 0 if it is negative.
    pub(super) fn u64_or_zero(self) -> Result<u64, StoreError> {
        self.int().map(|int| u64::try_from(int).unwrap_or(0))
    }

    /// A JSON document.
    pub(super) fn document<T: Document>(self) -> Result<T, StoreError> {
        Ok(document::read(&self.bytes()?)?)
    }
}

/// Parses an integer. Scores are doubles. Doubles hold integers up to 2^53 exactly, and
/// [`MS_MAX`](super::arguments::MS_MAX) is below that. Redis may write a large score with an exponent.
fn parse_int(text: &str) -> Option<i64> {
    if let Ok(int) = text.parse() {
        return Some(int);
    }
    let double: f64 = text.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a score is an integer, and a cast beyond the range of i64 saturates"
    )]
    double.is_finite().then_some(double as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> ReplyPart {
        ReplyPart::new("test", Value::BulkString(text.into()))
    }

    #[test]
    fn integers_are_read_with_and_without_an_exponent() {
        for (text, int) in [("12", 12), ("-3", -3), ("9e+15", 9_000_000_000_000_000)] {
            assert_eq!(bulk(text).int().unwrap(), int);
        }
        assert!(bulk("x").int().is_err());
        let five = ReplyPart::new("test", Value::Int(5));
        assert_eq!(five.u64_or_zero().unwrap(), 5);
        assert_eq!(bulk("-3").u64_or_zero().unwrap(), 0);
    }

    #[test]
    fn an_unexpected_type_or_length_is_an_error() {
        assert!(ReplyPart::new("test", Value::Okay).list().is_err());
        let two = Value::Array(vec![Value::Nil, Value::Nil]);
        assert!(ReplyPart::new("test", two).parts::<3>().is_err());
        assert!(ReplyPart::new("test", Value::Nil).non_nil().is_none());
    }
}
