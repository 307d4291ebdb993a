//! The metrics of a process: their names, labels, units and text formats. `deploy/METRICS.md` lists them for operators.
//!
//! Names follow the conventions of Prometheus: base units, `_total` for counters, few label values. Each label has a bounded
//! number of values: it comes from this code or from the configuration, or it goes through [`bounded`] or [`model_label`].
//!
//! In reading order:
//! - [`metrics`]: all metrics of a process, and its roles.
//! - [`lanes`], [`gateway`], [`worker`], [`calls`]: the metrics of each part.
//! - [`model_label`], [`bounded`]: bounded labels. OpenTelemetry's names for provider calls are in `forebay_telemetry::genai`.
//! - [`store`], [`metered_store`]: how long the calls of the store take.
//! - [`process`]: what the operating system reports. [`sampled`]: values that are read at each scrape.
//! - [`buckets`]: the buckets of histograms. [`exposition`]: the text formats.

pub mod bounded;
pub mod buckets;
pub mod calls;
pub mod exposition;
pub mod gateway;
pub mod lanes;
mod metered_limit_store;
pub mod metered_store;
pub mod metrics;
pub mod model_label;
pub mod process;
pub mod sampled;
pub mod store;
pub mod worker;

pub use exposition::Format;
pub use metrics::{Metrics, Roles};
