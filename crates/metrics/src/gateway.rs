//! The metrics of the HTTP API.

use std::{fmt, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::buckets::DurationHistogram;

/// The outcome of an accepted submit.
pub const ACCEPTED: &str = "accepted";
/// The outcome of a repeated submit: it got the job of an earlier one.
pub const REPLAYED: &str = "replayed";

/// The outcome of a submit: [`ACCEPTED`], [`REPLAYED`], or the code of the problem that refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OutcomeLabel(&'static str);

impl EncodeLabelSet for OutcomeLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [("outcome", self.0)].encode(encoder)
    }
}

/// The labels of a request. All are bounded: unknown methods and routes are `other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestLabels {
    /// The method.
    pub method: &'static str,
    /// The pattern of the route.
    pub route: &'static str,
    /// The status of the response.
    pub status: u16,
}

impl EncodeLabelSet for RequestLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [("method", self.method), ("route", self.route)].encode(encoder)?;
        [("status", self.status)].encode(encoder)
    }
}

/// The name of a limit of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PolicyLabel(&'static str);

impl EncodeLabelSet for PolicyLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [("policy", self.0)].encode(encoder)
    }
}

/// The metrics of the HTTP API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct GatewayMetrics {
    submits: Family<OutcomeLabel, Counter>,
    quota_refusals: Family<PolicyLabel, Counter>,
    requests: Family<RequestLabels, Histogram, DurationHistogram>,
    /// The requests that are being handled.
    pub requests_in_flight: Gauge,
    /// The open connections.
    pub connections: ConnectionGauge,
}

impl Default for GatewayMetrics {
    fn default() -> Self {
        let submits = Family::<OutcomeLabel, Counter>::default();
        for outcome in [ACCEPTED, REPLAYED] {
            submits.get_or_create_owned(&OutcomeLabel(outcome));
        }
        Self {
            submits,
            quota_refusals: Family::default(),
            requests: Family::new_with_constructor(DurationHistogram),
            requests_in_flight: Gauge::default(),
            connections: ConnectionGauge::default(),
        }
    }
}

impl GatewayMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "forebay_submits",
            "Submits, by outcome: accepted, replayed, or the code of the refusal",
            self.submits.clone(),
        );
        registry.register(
            "forebay_quota_refusals",
            "Requests that were refused by a limit of their tenant, by the policy of the limit",
            self.quota_refusals.clone(),
        );
        registry.register(
            "forebay_http_request_duration_seconds",
            "Time from the head of a request to the head of its response",
            self.requests.clone(),
        );
        registry.register(
            "forebay_http_requests_in_flight",
            "Requests that are being handled, waiting ones included",
            self.requests_in_flight.clone(),
        );
        registry.register(
            "forebay_http_connections",
            "Open connections of clients",
            self.connections.0.clone(),
        );
    }

    /// Counts a submit. `outcome` is [`ACCEPTED`], [`REPLAYED`] or the code of a problem.
    pub fn count_submit(&self, outcome: &'static str) {
        self.submits.get_or_create(&OutcomeLabel(outcome)).inc();
    }

    /// Counts a request that a limit of its tenant refused. `policy` is the name of the limit.
    pub fn count_quota_refusal(&self, policy: &'static str) {
        self.quota_refusals
            .get_or_create(&PolicyLabel(policy))
            .inc();
    }

    /// Records a request.
    pub fn record_request(&self, labels: RequestLabels, duration: Duration) {
        let request = self.requests.get_or_create(&labels);
        request.observe(duration.as_secs_f64());
    }
}

/// Counts open connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ConnectionGauge(Gauge);

impl ConnectionGauge {
    /// Counts a connection until the result is dropped.
    #[must_use]
    pub fn open(&self) -> GaugeGuard {
        GaugeGuard::new(&self.0)
    }
}

/// Counts something as long as the guard lives, such as an open connection.
#[derive(Debug)]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    /// Adds one to the gauge.
    #[must_use]
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
