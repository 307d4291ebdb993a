//! The limits of a worker.

/// How long a claim lasts beyond the time limit of its call, in milliseconds. One half is for a slow claim, the other half
/// for the commit, during which no other worker may claim the job.
pub(crate) const COMMIT_MARGIN_MS: u64 = 30_000;

/// How long a worker may take after its drain time, in milliseconds. In this time it releases the jobs that still
/// run, and commits the last replies. With a healthy store this takes some tens of milliseconds. The sweeper
/// requeues the jobs that are not released by then.
pub const RELEASING_MS_MAX: u64 = 2_000;

/// The limits of a worker. The code that reads the settings checks the ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// The number of slots, for both classes together: 1 to 100,000.
    pub concurrency: usize,
    /// The most jobs that wait for tool results without using a slot. Further waiting jobs keep their slots, so the worker
    /// claims fewer other jobs.
    pub results_waits_max: usize,
    /// The number of failed tries at which a job fails: 1 to 100.
    pub tries_max: u32,
    /// The time limit of one call, in milliseconds. At most 25 minutes, because RabbitMQ closes
    /// a channel that has a delivery unacknowledged for 30 minutes.
    pub call_timeout_ms: u64,
    /// How long running calls may continue after the worker must stop, in milliseconds.
    pub drain_ms: u64,
    /// The delay after a job's first failed try, without jitter, in milliseconds. It doubles with each further
    /// failure.
    pub backoff_base_ms: u64,
    /// The upper bound of the doubled delay, in milliseconds.
    pub backoff_max_ms: u64,
    /// Whether the worker takes wakes and runs none of them. For tests of the health check.
    pub drops_wakes: bool,
    /// Whether no wake reaches the worker, although the queue has delivered it. For tests of the health check.
    pub loses_wakes: bool,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: 256,
            results_waits_max: 1_000,
            tries_max: 5,
            call_timeout_ms: 600_000,
            drain_ms: 25_000,
            backoff_base_ms: 1_000,
            backoff_max_ms: 60_000,
            drops_wakes: false,
            loses_wakes: false,
        }
    }
}
