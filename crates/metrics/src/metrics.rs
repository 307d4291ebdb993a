//! All metrics of a process.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::{
    metrics::{MetricType, info::Info},
    registry::Registry,
};

use crate::{
    calls::CallMetrics,
    exposition::Format,
    gateway::GatewayMetrics,
    lanes::LaneMetrics,
    process,
    sampled::{Labels, Sampled},
    store::StoreMetrics,
    worker::WorkerMetrics,
};

/// Which parts a process has. It reports only the metrics of these parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Whether it serves the HTTP API.
    pub gateway: bool,
    /// Whether it runs jobs.
    pub worker: bool,
}

/// All metrics of a process. Cheap to clone.
///
/// Counting is always on. It costs each job some atomic operations, and a few short locks for histograms and bounded labels.
/// [`Metrics::encode`] is called only by the admin listener.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    /// The metrics of changes to lanes.
    pub lanes: LaneMetrics,
    /// The metrics of the store.
    pub store: StoreMetrics,
    /// The metrics of the HTTP API.
    pub gateway: GatewayMetrics,
    /// The metrics of the worker.
    pub worker: WorkerMetrics,
    /// The metrics of provider calls.
    pub calls: CallMetrics,
}

impl Default for Metrics {
    /// The metrics of a process with both parts.
    fn default() -> Self {
        Self::new(Roles {
            gateway: true,
            worker: true,
        })
    }
}

impl Metrics {
    /// The metrics of a process with these parts.
    #[must_use]
    pub fn new(roles: Roles) -> Self {
        let mut registry = Registry::default();
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("forebay_build", "The release", Info::new(version));
        let (lanes, store) = (LaneMetrics::default(), StoreMetrics::default());
        let (gateway, worker) = (GatewayMetrics::default(), WorkerMetrics::default());
        let calls = CallMetrics::default();
        lanes.register(&mut registry);
        store.register(&mut registry);
        if roles.gateway {
            gateway.register(&mut registry);
        }
        if roles.worker {
            worker.register(&mut registry);
            calls.register(&mut registry);
        }
        for sampled in process::sampled() {
            registry.register_collector(Box::new(sampled));
        }
        Self {
            registry: Arc::new(Mutex::new(registry)),
            lanes,
            store,
            gateway,
            worker,
            calls,
        }
    }

    /// Writes all metrics.
    ///
    /// # Errors
    /// Never in practice: the text is written into memory.
    pub fn encode(&self, format: Format) -> Result<String, std::fmt::Error> {
        let registry = self.registry.lock();
        format.encode(&registry.unwrap_or_else(PoisonError::into_inner))
    }

    /// Registers a gauge whose values `read` returns at each scrape. `read` must not block, and must not use the registry.
    pub fn sampled_gauge(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<(Labels, f64)> + Send + Sync + 'static,
    ) {
        self.register_sampled(name, help, MetricType::Gauge, Box::new(read));
    }

    /// Registers a counter whose values `read` returns at each scrape. The text formats add `_total` to its name. `read` must
    /// not block, and must not use the registry.
    pub fn sampled_counter(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<(Labels, f64)> + Send + Sync + 'static,
    ) {
        self.register_sampled(name, help, MetricType::Counter, Box::new(read));
    }

    fn register_sampled(
        &self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        read: Box<dyn Fn() -> Vec<(Labels, f64)> + Send + Sync>,
    ) {
        let sampled = Sampled {
            name,
            help,
            kind,
            read,
        };
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(sampled));
    }
}
