//! The metrics of a worker: claims, attempts, slots. The metrics of its calls are in [`calls`](crate::calls).

use std::{fmt, sync::Arc, time::Duration};

use forebay_shared::class::Class;
use prometheus_client::{
    encoding::{EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{bounded::BoundedLabels, buckets::duration_bounds_s};

/// The most codes of errors that have a label of their own.
const REASONS_MAX: usize = 64;

/// How the claim of a wake's job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimOutcome {
    /// The job was claimed.
    Granted,
    /// The job had ended, ran already, or was not due.
    NotDue,
    /// The job's account granted no permit, so the job was deferred.
    Denied,
    /// There was no memory for the inputs of the job.
    NoMemory,
    /// The store did not respond, or only a worker of a newer release can claim the job.
    Failed,
}

impl ClaimOutcome {
    /// All outcomes.
    pub const ALL: [Self; 5] = [
        Self::Granted,
        Self::NotDue,
        Self::Denied,
        Self::NoMemory,
        Self::Failed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::NotDue => "not_due",
            Self::Denied => "denied",
            Self::NoMemory => "no_memory",
            Self::Failed => "failed",
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptOutcome {
    /// The job has its reply, or its tool results are in the session.
    Completed,
    /// The job failed for good, also because its tries are used up.
    Failed,
    /// The job waits for another try.
    Retried,
    /// The job waits until its provider may be called.
    Deferred,
    /// The job was released, because the worker stops or the job's wait for tool results has ended.
    Released,
    /// The result was no longer needed, or could not be committed.
    Dropped,
}

impl AttemptOutcome {
    /// All outcomes.
    pub const ALL: [Self; 6] = [
        Self::Completed,
        Self::Failed,
        Self::Retried,
        Self::Deferred,
        Self::Released,
        Self::Dropped,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::Deferred => "deferred",
            Self::Released => "released",
            Self::Dropped => "dropped",
        }
    }
}

/// One label: its name and its value. The value is fixed in this code, or goes through [`BoundedLabels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OneLabel(&'static str, &'static str);

impl EncodeLabelSet for OneLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [(self.0, self.1)].encode(encoder)
    }
}

/// The metrics of a worker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    /// The number of slots.
    pub slots: Gauge,
    /// The provider calls in flight.
    pub calls_in_flight: Gauge,
    /// In the order of [`Class::ALL`].
    queue_waits: [Histogram; Class::ALL.len()],
    /// In the order of [`ClaimOutcome::ALL`].
    claims: [Counter; ClaimOutcome::ALL.len()],
    /// In the order of [`AttemptOutcome::ALL`].
    attempts: [Counter; AttemptOutcome::ALL.len()],
    retries: Family<OneLabel, Counter>,
    deferrals: Family<OneLabel, Counter>,
    reasons: Arc<BoundedLabels>,
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        Self {
            slots: Gauge::default(),
            calls_in_flight: Gauge::default(),
            queue_waits: std::array::from_fn(|_| Histogram::new(duration_bounds_s())),
            claims: std::array::from_fn(|_| Counter::default()),
            attempts: std::array::from_fn(|_| Counter::default()),
            retries: Family::default(),
            deferrals: Family::default(),
            reasons: Arc::new(BoundedLabels::new(REASONS_MAX)),
        }
    }
}

impl WorkerMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "forebay_slots",
            "The most jobs that this worker runs at a time",
            self.slots.clone(),
        );
        registry.register(
            "forebay_calls_in_flight",
            "Calls of providers that run",
            self.calls_in_flight.clone(),
        );
        let classes = Class::ALL.iter().zip(&self.queue_waits);
        let waits = classes.map(|(class, wait)| (("class", class.as_str()), wait.clone()));
        register_each(
            registry,
            "forebay_queue_wait_seconds",
            "Time from the acceptance of a job to its first claim",
            waits,
        );
        let claims = ClaimOutcome::ALL.iter().zip(&self.claims);
        register_each(
            registry,
            "forebay_claims",
            "Wakes that this worker took, by the result of the claim",
            claims.map(|(outcome, count)| (("result", outcome.as_str()), count.clone())),
        );
        let attempts = AttemptOutcome::ALL.iter().zip(&self.attempts);
        register_each(
            registry,
            "forebay_job_attempts",
            "Claimed jobs, by how the attempt ended",
            attempts.map(|(outcome, count)| (("result", outcome.as_str()), count.clone())),
        );
        registry.register(
            "forebay_retries",
            "Failed tries after which the job is tried again, by the code of the error",
            self.retries.clone(),
        );
        registry.register(
            "forebay_deferrals",
            "Times that a job had to wait for its provider, by the code of the error",
            self.deferrals.clone(),
        );
    }

    /// Records how long a job waited for its first claim.
    pub fn record_queue_wait(&self, class: Class, wait: Duration) {
        self.queue_waits[class as usize].observe(wait.as_secs_f64());
    }

    /// Counts the claim of a wake.
    pub fn count_claim(&self, outcome: ClaimOutcome) {
        self.claims[outcome as usize].inc();
    }

    /// Counts an attempt that has ended.
    pub fn count_attempt(&self, outcome: AttemptOutcome) {
        self.attempts[outcome as usize].inc();
    }

    /// Counts a failed try after which the job is tried again.
    pub fn count_retry(&self, code: &str) {
        let label = OneLabel("reason", self.reasons.of(code));
        self.retries.get_or_create(&label).inc();
    }

    /// Counts a job that has to wait for its provider.
    pub fn count_deferral(&self, code: &str) {
        let label = OneLabel("reason", self.reasons.of(code));
        self.deferrals.get_or_create(&label).inc();
    }
}

/// Registers metrics that differ in one label. The caller keeps their handles, so counting needs no lookup by label.
fn register_each<M>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    metrics: impl Iterator<Item = ((&'static str, &'static str), M)>,
) where
    M: prometheus_client::registry::Metric + Clone + prometheus_client::metrics::TypedMetric,
{
    let family = Each(
        metrics
            .map(|((key, value), metric)| (OneLabel(key, value), metric))
            .collect(),
    );
    registry.register(name, help, family);
}

/// Metrics that differ in one label.
#[derive(Debug)]
struct Each<M>(Vec<(OneLabel, M)>);

impl<M: prometheus_client::metrics::TypedMetric> prometheus_client::metrics::TypedMetric
    for Each<M>
{
    const TYPE: prometheus_client::metrics::MetricType = M::TYPE;
}

impl<M> prometheus_client::encoding::EncodeMetric for Each<M>
where
    M: prometheus_client::encoding::EncodeMetric + prometheus_client::metrics::TypedMetric,
{
    fn encode(
        &self,
        mut encoder: prometheus_client::encoding::MetricEncoder<'_>,
    ) -> Result<(), fmt::Error> {
        for (label, metric) in &self.0 {
            metric.encode(encoder.encode_family(label)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> prometheus_client::metrics::MetricType {
        M::TYPE
    }
}
