//! What the tasks of one worker share: its store, queue and providers, its settings, the jobs in flight and its stop
//! signals.

use std::sync::Arc;

use forebay_runtime::member::Member;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    call_recorder::CallRecorder, context_limits::ContextLimits, in_flight::InFlightJobs,
    provider_lookup::ProviderLookup, settings::WorkerSettings,
};

/// What the intake, the attempts and the drain of one worker share.
pub(crate) struct WorkerContext {
    /// The process that the worker runs in, with its store and queue.
    pub(crate) member: Arc<Member>,
    /// The providers that jobs can be sent to.
    pub(crate) providers: Arc<dyn ProviderLookup>,
    pub(crate) settings: WorkerSettings,
    /// The jobs that this process works on.
    pub(crate) in_flight: Arc<InFlightJobs>,
    /// Records the calls in the metrics.
    pub(crate) call_recorder: Arc<CallRecorder>,
    /// The context limits of models, known from refused calls.
    pub(crate) context_limits: Arc<ContextLimits>,
    /// Bounds how many jobs wait for tool results without using a slot of the worker.
    pub(crate) results_wait_limit: Arc<Semaphore>,
    /// Bounds how many requests are in memory because tool results are searched in them.
    pub(crate) results_read_limit: Arc<Semaphore>,
    /// Bounds how many jobs wait for memory while they use a slot.
    pub(crate) memory_wait_limit: Semaphore,
    /// The tasks of the running attempts.
    pub(crate) attempts: TaskTracker,
    /// Cancelled when the worker must stop: it then claims no more jobs.
    pub(crate) stop: CancellationToken,
    /// Cancelled at the end of the drain time: calls are dropped and their jobs released.
    pub(crate) release_jobs: CancellationToken,
    /// Cancelled last: attempts that could not release their job are dropped.
    pub(crate) abort_attempts: CancellationToken,
}
