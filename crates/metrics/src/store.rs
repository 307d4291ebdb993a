//! How long the calls of the store take, and how they fail.

use std::{fmt, time::Duration};

use forebay_shared::store::StoreError;
use prometheus_client::{
    encoding::{EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::buckets::DurationHistogram;

/// The name of a method of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OperationLabel(&'static str);

/// The name of a method of the store, and the kind of its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ErrorLabels {
    operation: &'static str,
    kind: &'static str,
}

impl EncodeLabelSet for OperationLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [("operation", self.0)].encode(encoder)
    }
}

impl EncodeLabelSet for ErrorLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [("operation", self.operation), ("kind", self.kind)].encode(encoder)
    }
}

/// The metrics of the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    durations: Family<OperationLabel, Histogram, DurationHistogram>,
    errors: Family<ErrorLabels, Counter>,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            durations: Family::new_with_constructor(DurationHistogram),
            errors: Family::default(),
        }
    }
}

impl StoreMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "forebay_store_duration_seconds",
            "How long calls of the store took, failed calls included",
            self.durations.clone(),
        );
        registry.register(
            "forebay_store_errors",
            "Calls of the store that failed",
            self.errors.clone(),
        );
    }

    /// Records a call of the store. Costs no allocation after the first call of an operation.
    pub(crate) fn record(
        &self,
        operation: &'static str,
        duration: Duration,
        error: Option<&'static str>,
    ) {
        let operations = self.durations.get_or_create(&OperationLabel(operation));
        operations.observe(duration.as_secs_f64());
        if let Some(kind) = error {
            let labels = ErrorLabels { operation, kind };
            self.errors.get_or_create(&labels).inc();
        }
    }
}

/// The error kind of a call whose caller stopped waiting for it.
pub(crate) const ABANDONED: &str = "abandoned";

/// The label of an error.
pub(crate) const fn error_kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::TooLarge => "too_large",
        StoreError::Full => "full",
        StoreError::TurnGone => "turn_gone",
        StoreError::Newer(_) => "newer",
        StoreError::Broken(_) => "broken",
    }
}
