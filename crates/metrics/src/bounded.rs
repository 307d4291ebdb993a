//! A set of label values that grows up to a bound. Later values count as [`OTHER`].

use std::{
    collections::HashSet,
    sync::{PoisonError, RwLock},
};

/// The label of all values beyond the bound.
pub const OTHER: &str = "other";

/// The most characters of a label.
const LABEL_CHARS_MAX: usize = 100;

/// A set of label values. Each value is kept for ever, so the bound must be small.
#[derive(Debug)]
pub struct BoundedLabels {
    max: usize,
    values: RwLock<HashSet<&'static str>>,
}

impl BoundedLabels {
    /// An empty set that takes `max` values.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            max,
            values: RwLock::default(),
        }
    }

    /// The label of a value: the value, or [`OTHER`] once the set is full, or if the value is too long. A value that the set
    /// contains costs no allocation.
    pub fn of(&self, value: &str) -> &'static str {
        let known = |values: &HashSet<&'static str>| values.get(value).copied();
        if let Some(label) = known(&self.values.read().unwrap_or_else(PoisonError::into_inner)) {
            return label;
        }
        if value.chars().nth(LABEL_CHARS_MAX).is_some() {
            return OTHER;
        }
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(label) = known(&values) {
            return label;
        }
        if values.len() >= self.max {
            return OTHER;
        }
        // The label is never freed. `max` limits this memory.
        let label: &'static str = Box::leak(value.to_owned().into_boxed_str());
        values.insert(label);
        label
    }
}

#[cfg(test)]
mod tests {
    use super::{BoundedLabels, OTHER};

    #[test]
    fn values_beyond_the_bound_are_other_and_known_values_stay() {
        let labels = BoundedLabels::new(2);
        assert_eq!(labels.of("a"), "a");
        assert_eq!(labels.of(&"x".repeat(101)), OTHER);
        assert_eq!(labels.of("b"), "b");
        assert_eq!(labels.of("c"), OTHER);
        assert_eq!(labels.of("a"), "a");
    }
}
