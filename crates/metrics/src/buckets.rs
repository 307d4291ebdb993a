//! The buckets of all histograms.

use prometheus_client::metrics::{family::MetricConstructor, histogram::Histogram};

/// The upper bounds of the buckets, in seconds: 5 ms, doubled up to 655.36 s. A call may take 600 s by default. The bounds
/// contain those that OpenTelemetry advises for calls of models (10 ms, doubled).
#[must_use]
pub fn duration_bounds_s() -> [f64; 18] {
    std::array::from_fn(|power| 0.005 * f64::from(1_u32 << power))
}

/// Makes a histogram of durations in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct DurationHistogram;

impl MetricConstructor<Histogram> for DurationHistogram {
    fn new_metric(&self) -> Histogram {
        Histogram::new(duration_bounds_s())
    }
}

#[cfg(test)]
mod tests {
    use super::duration_bounds_s;

    #[test]
    fn the_buckets_reach_from_5_ms_to_655_s() {
        let bounds = duration_bounds_s();
        assert!((bounds[0] - 0.005).abs() < 1e-12);
        assert!((bounds[17] - 655.36).abs() < 1e-9);
    }
}
