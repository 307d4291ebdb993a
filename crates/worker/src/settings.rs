//! What bounds a worker.

/// The most calls that one worker can be told to make at a time.
pub const CONCURRENCY_MAX: usize = 100_000;

/// How long an attempt has to be committed after its call has run into its limit, in milliseconds. A
/// claim asks for the call's limit and this, so nobody takes the job over while the commit is on its way.
pub const COMMIT_MARGIN_MS: u64 = 30_000;

/// How long a worker may take, after its grace, to give back the jobs that still run and to commit replies that came
/// at its end, in milliseconds. While the store is well this takes some tens of milliseconds; what is not given
/// back by then others find as the jobs of a worker that is gone.
pub const RELEASING_MS_MAX: u64 = 2_000;

/// What bounds a worker. The ranges are checked where the values come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Calls in flight, over both classes: 1 to [`CONCURRENCY_MAX`].
    pub concurrency: usize,
    /// After so many failures of the provider a job fails: 1 to 100.
    pub tries_max: u32,
    /// The longest one call may take, in milliseconds; at most 25 minutes, since RabbitMQ closes the
    /// channel of a delivery that is unsettled for 30.
    pub call_timeout_ms: u64,
    /// How long calls may go on after the worker was told to stop, in milliseconds.
    pub drain_ms: u64,
    /// The pause before the second try, in milliseconds, before jitter; doubles with each further one.
    pub backoff_base_ms: u64,
    /// The longest pause that doubling leads to, in milliseconds.
    pub backoff_max_ms: u64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: 256,
            tries_max: 5,
            call_timeout_ms: 600_000,
            drain_ms: 25_000,
            backoff_base_ms: 1_000,
            backoff_max_ms: 60_000,
        }
    }
}
