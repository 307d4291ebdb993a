//! Reads single variables. As OpenTelemetry's specification requires, a value that cannot be read is ignored with a warning.

use std::{cell::RefCell, ops::RangeInclusive, time::Duration};

use super::setting_error::SettingError;

/// The longest allowed time, in milliseconds.
const MS_MAX: u64 = 600_000;

/// The variables, and the ones whose values are ignored.
pub(super) struct Variables<'a> {
    source: &'a dyn Fn(&str) -> Option<String>,
    ignored: RefCell<Vec<SettingError>>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(source: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            source,
            ignored: RefCell::default(),
        }
    }

    /// The value of a variable. An empty variable counts as unset.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.source)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The value of a variable whose values are words, in lower case.
    pub(super) fn word(&self, name: &str) -> Option<String> {
        Some(self.text(name)?.to_ascii_lowercase())
    }

    /// The OTLP variable with this suffix: its name and its value. The variable for traces takes precedence over that for all signals.
    pub(super) fn of_traces(&self, suffix: &str) -> Option<(String, String)> {
        ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"]
            .iter()
            .map(|prefix| format!("{prefix}{suffix}"))
            .find_map(|name| self.text(&name).map(|value| (name, value)))
    }

    /// Remembers that the value of a variable is ignored.
    pub(super) fn ignore(&self, name: &str, allowed: &'static str) {
        let ignored = SettingError::new(name, allowed);
        self.ignored.borrow_mut().push(ignored);
    }

    /// A time in milliseconds. 0 means no limit; the longest allowed time is used for it.
    pub(super) fn timeout(&self, name: &str) -> Option<Duration> {
        let ms = self.ms(name)?;
        Some(Duration::from_millis(if ms == 0 { MS_MAX } else { ms }))
    }

    /// A time in milliseconds, at least 1.
    pub(super) fn interval(&self, name: &str) -> Option<Duration> {
        Some(Duration::from_millis(self.ms(name)?.max(1)))
    }

    fn ms(&self, name: &str) -> Option<u64> {
        let allowed = "must be a whole number of milliseconds from 0 to 600000";
        self.number(name, 0..=MS_MAX, allowed)
    }

    /// A whole number in a range.
    pub(super) fn number(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
        allowed: &'static str,
    ) -> Option<u64> {
        let text = self.text(name)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.ignore(name, allowed);
        }
        number
    }

    /// The variables whose values are ignored, with what is allowed.
    pub(super) fn into_ignored(self) -> Vec<SettingError> {
        self.ignored.into_inner()
    }
}
