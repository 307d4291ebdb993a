//! Takes a script's reply apart.

use forebay_shared::store::StoreError;
use redis::Value;

use super::failure::{Unexpected, unreadable};

/// A reply, or a part of one, with the name of what was called for the error's sake.
pub(super) struct Reply {
    call: &'static str,
    value: Value,
}

impl Reply {
    pub(super) const fn new(call: &'static str, value: Value) -> Self {
        Self { call, value }
    }

    fn unexpected(&self) -> StoreError {
        unreadable(Unexpected(self.call))
    }

    /// Nothing, which scripts say with `false`.
    pub(super) const fn is_nothing(&self) -> bool {
        matches!(self.value, Value::Nil)
    }

    /// Whether it is the 1 with which a script says that it has done what it was asked.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.value, Value::Int(1))
    }

    /// The reply, unless it is nothing.
    pub(super) fn some(self) -> Option<Self> {
        (!self.is_nothing()).then_some(self)
    }

    /// Its parts.
    pub(super) fn list(self) -> Result<impl Iterator<Item = Self>, StoreError> {
        let call = self.call;
        match self.value {
            Value::Array(values) => Ok(values.into_iter().map(move |value| Self { call, value })),
            _ => Err(self.unexpected()),
        }
    }

    /// Its parts, if there are `N`.
    pub(super) fn parts<const N: usize>(self) -> Result<[Self; N], StoreError> {
        let call = self.call;
        let parts: Vec<Self> = self.list()?.collect();
        parts.try_into().map_err(|_| unreadable(Unexpected(call)))
    }

    /// Bytes.
    pub(super) fn bytes(self) -> Result<Vec<u8>, StoreError> {
        match self.value {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            _ => Err(self.unexpected()),
        }
    }

    /// Text.
    pub(super) fn text(self) -> Result<String, StoreError> {
        String::from_utf8(self.bytes()?).map_err(unreadable)
    }

    /// A number, however Redis writes it; scores come as text.
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

    /// A number that is not negative; 0 for one that is.
    pub(super) fn natural(self) -> Result<u64, StoreError> {
        self.int().map(|int| u64::try_from(int).unwrap_or(0))
    }

    /// A document.
    pub(super) fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, StoreError> {
        serde_json::from_slice(&self.bytes()?).map_err(unreadable)
    }
}

/// Scores are doubles: whole up to 2^53 ([`arguments::MS_MAX`](super::arguments::MS_MAX) is below
/// that), but the largest may be written with an exponent.
fn parse_int(text: &str) -> Option<i64> {
    if let Ok(int) = text.parse() {
        return Some(int);
    }
    let double: f64 = text.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a score is whole, and what is beyond the range saturates"
    )]
    double.is_finite().then_some(double as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::new("test", Value::BulkString(text.into()))
    }

    #[test]
    fn numbers_are_read_however_they_are_written() {
        for (text, int) in [("12", 12), ("-3", -3), ("9e+15", 9_000_000_000_000_000)] {
            assert_eq!(bulk(text).int().unwrap(), int);
        }
        assert!(bulk("x").int().is_err());
        assert_eq!(Reply::new("test", Value::Int(5)).natural().unwrap(), 5);
        assert_eq!(bulk("-3").natural().unwrap(), 0);
    }

    #[test]
    fn what_has_another_form_is_broken() {
        assert!(Reply::new("test", Value::Okay).list().is_err());
        let two = Value::Array(vec![Value::Nil, Value::Nil]);
        assert!(Reply::new("test", two).parts::<3>().is_err());
        assert!(Reply::new("test", Value::Nil).some().is_none());
    }
}
