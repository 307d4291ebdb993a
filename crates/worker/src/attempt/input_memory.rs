//! Reserves the memory of a job with large inputs before the job is claimed, and reads the inputs after the claim.
//!
//! A job that waits for memory is not claimed. If it waits too long, its message goes to the end of the queue. Then another
//! worker with more memory may run it.

use std::time::Duration;

use forebay_runtime::byte_budget::ReservedBytes;
use forebay_shared::{
    queue::Delivery,
    store::{RunInputs, StoreError},
    wake::Wake,
};
use tokio::time::{Instant, sleep, timeout};

use super::{call_outcome::CallOutcome, claimed_job::ClaimedJob};
use crate::{
    provider::{Failure, Retry},
    worker_context::WorkerContext,
};

/// How many bytes of memory a call takes for two stored bytes of its inputs: two for the parsed turns, two for the request to
/// the provider, and one for the overhead of both.
const MEMORY_BYTES_PER_TWO_BYTES: u64 = 5;
/// How long a job waits for memory at most, unless it is large. It uses a slot meanwhile. Then its message goes to the end of
/// the queue.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// A job is large if it needs more than the memory of all calls, divided by this. A large job waits until the calls that run
/// now have ended. It gets the memory that they free, because later jobs wait behind it. With a shorter wait, smaller calls
/// would always be in its way.
const LARGE_DIVISOR: u64 = 4;
/// The longest wait and the call after it together. RabbitMQ closes the channel of a message that is not acknowledged for 30 minutes.
const UNACKED_MAX: Duration = Duration::from_secs(1_700);
/// How long a job keeps its slot if too many other jobs of this worker wait for memory already.
const CROWDED_DELAY: Duration = Duration::from_millis(500);
/// The timeout for putting a message at the end of the queue.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the read of a claimed job's inputs is repeated while the store does not respond.
const READ_TIME_MAX: Duration = Duration::from_secs(60);
/// The delay before the next read.
const READ_RETRY_DELAY: Duration = Duration::from_millis(500);
/// The delay before a job is released that only a worker of a newer release can run.
const NEWER_RELEASE_DELAY: Duration = Duration::from_secs(1);

/// Memory for the inputs of a job.
pub(super) struct InputMemory {
    /// The bytes of the inputs, as stored.
    pub(super) input_bytes: u64,
    _reserved: ReservedBytes,
}

/// Reserves the memory for inputs of this many bytes, as stored, if it is free now.
pub(super) fn try_reserve(worker: &WorkerContext, input_bytes: u64) -> Option<InputMemory> {
    let reserved = worker
        .member
        .memory
        .calls
        .try_reserve(call_bytes(input_bytes))?;
    Some(InputMemory {
        input_bytes,
        _reserved: reserved,
    })
}

/// Waits for the memory for inputs of this many bytes, as stored. `None` if the memory is not free in time, if too many
/// jobs wait already, or if the worker stops.
///
/// At most a quarter of the slots, but at least one, wait for memory. The others stay free for small jobs.
pub(super) async fn reserve(worker: &WorkerContext, input_bytes: u64) -> Option<InputMemory> {
    let Ok(_wait) = worker.memory_wait_limit.try_acquire() else {
        worker.stop.run_until_cancelled(sleep(CROWDED_DELAY)).await;
        return None;
    };
    let (bytes, budget) = (call_bytes(input_bytes), &worker.member.memory.calls);
    let wait_max = if bytes > budget.total() / LARGE_DIVISOR {
        let call_max = Duration::from_millis(worker.settings.call_timeout_ms);
        call_max
            .min(UNACKED_MAX.saturating_sub(call_max))
            .max(WAIT_MAX)
    } else {
        WAIT_MAX
    };
    let waiting = budget.reserve(bytes, wait_max);
    let reserved = worker.stop.run_until_cancelled(waiting).await.flatten()?;
    Some(InputMemory {
        input_bytes,
        _reserved: reserved,
    })
}

/// The bytes that the call of a job takes.
const fn call_bytes(input_bytes: u64) -> u64 {
    (input_bytes / 2).saturating_mul(MEMORY_BYTES_PER_TWO_BYTES)
}

/// Puts the message of a job that found no memory at the end of the queue, behind the jobs that need less. The job must not be
/// in flight any more, because this process may receive the new message at once.
pub(super) async fn put_last(worker: &WorkerContext, delivery: Delivery) {
    let wake = Wake {
        // The permits of the call were given back.
        permit: None,
        lane_copy: None,
        sent_at: worker.member.store.now(),
        ..delivery.wake.clone()
    };
    let published = timeout(PUBLISH_TIMEOUT, worker.member.queue.publish(&wake)).await;
    if matches!(published, Ok(Ok(()))) {
        delivery.ack();
    } else {
        delivery.requeue();
    }
}

/// Reads the inputs of a claimed job.
///
/// # Errors
/// The outcome of the attempt if there are no inputs to run with.
pub(super) async fn read(
    worker: &WorkerContext,
    job: &ClaimedJob,
) -> Result<Box<RunInputs>, CallOutcome> {
    let deadline = Instant::now() + READ_TIME_MAX;
    let store = &worker.member.store;
    loop {
        let error = match store.run_inputs(&job.lane, job.job).await {
            Ok(Some(run_inputs)) => return Ok(Box::new(run_inputs)),
            Ok(None) => {
                return Err(CallOutcome::Dropped {
                    reason: "the job has ended",
                });
            }
            Err(error) => error,
        };
        let delay = match &error {
            StoreError::Newer(document) => {
                tracing::debug!(job_id = %job.job, %document, "a job is released: only a worker of a newer release can run it");
                worker
                    .stop
                    .run_until_cancelled(sleep(NEWER_RELEASE_DELAY))
                    .await;
                return Err(CallOutcome::Interrupted);
            }
            error if !error.is_transient() => {
                tracing::error!(job_id = %job.job, %error, "the inputs of a job cannot be read");
                let message = "the inputs of the job cannot be read";
                return Err(CallOutcome::Failed {
                    failure: Box::new(Failure::new("internal_error", message, Retry::Backoff)),
                    provider: None,
                });
            }
            _ if Instant::now() >= deadline => return Err(CallOutcome::Interrupted),
            _ => READ_RETRY_DELAY,
        };
        tracing::debug!(job_id = %job.job, %error, "the inputs of a job could not be read; trying again");
        if worker
            .release_jobs
            .run_until_cancelled(sleep(delay))
            .await
            .is_none()
        {
            return Err(CallOutcome::Interrupted);
        }
    }
}
