//! Metrics whose values are read at each scrape, because another part of the process has them already.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// The labels of one value.
pub type Labels = Vec<(&'static str, String)>;

/// A value without labels, if there is one.
#[must_use]
pub fn one(value: Option<f64>) -> Vec<(Labels, f64)> {
    value.map(|value| (Vec::new(), value)).into_iter().collect()
}

/// 1 for true, 0 for false.
#[must_use]
pub const fn flag(is_set: bool) -> f64 {
    if is_set { 1.0 } else { 0.0 }
}

/// A count, or a number of bytes.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes stay below 2^53"
)]
pub const fn number(value: u64) -> f64 {
    value as f64
}

/// A function that reads the values of a metric, with their labels.
type Read = Box<dyn Fn() -> Vec<(Labels, f64)> + Send + Sync>;

/// A metric whose values are read at each scrape. Without values it is left out.
pub(crate) struct Sampled {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: MetricType,
    pub(crate) read: Read,
}

impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampled")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let values = (self.read)();
        if values.is_empty() {
            return Ok(());
        }
        // The library ends the help text of registered metrics with a full stop, so collected ones get one too.
        let help = format!("{}.", self.help);
        let mut descriptor = encoder.encode_descriptor(self.name, &help, None, self.kind)?;
        for (labels, value) in values {
            let encoder = descriptor.encode_family(&labels)?;
            match self.kind {
                MetricType::Counter => ConstCounter::new(value).encode(encoder)?,
                _ => ConstGauge::new(value).encode(encoder)?,
            }
        }
        Ok(())
    }
}
