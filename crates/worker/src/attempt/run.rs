//! The sequence of an attempt, from the wake to its acknowledgement.

use std::{sync::Arc, time::Duration};

use forebay_metrics::worker::ClaimOutcome;
use forebay_runtime::worker_health::HeldWake;
use forebay_shared::{ids::JobId, job::JobMeta, queue::Delivery};
use forebay_telemetry::task_context;

use super::{
    account_report::ReportedCall,
    attempt_spans,
    call::call,
    claim::{ClaimEnd, Claimed, claim},
    claimed_job::ClaimedJob,
    input_memory,
    permit::{self, Permission},
    replaced_turns,
    results_wait::ResultsWait,
    settle::settle,
    wake_end::WakeEnd,
};
use crate::{in_flight::InFlightGuard, slot_guard::SlotGuard, worker_context::WorkerContext};

/// Makes an attempt at the job of a wake.
///
/// This is not an `async fn`, because that would store each of its arguments twice.
pub(crate) fn run(
    worker: Arc<WorkerContext>,
    delivery: Delivery,
    held: HeldWake,
    in_flight: InFlightGuard,
    slot: SlotGuard,
) -> impl Future<Output = ()> + Send {
    let context = attempt_spans::task_context(&delivery.wake);
    // Boxed, because this wrapper and those of the caller would copy a future of several KiB.
    let attempt = Box::pin(run_in_context(worker, delivery, held, in_flight, slot));
    task_context::scope(context, attempt)
}

fn run_in_context(
    worker: Arc<WorkerContext>,
    delivery: Delivery,
    held: HeldWake,
    in_flight: InFlightGuard,
    slot: SlotGuard,
) -> impl Future<Output = ()> + Send {
    let mut delivery = Some(delivery);
    async move {
        let _panic_log = PanicLog(in_flight.job());
        // Boxed, so that an attempt needs no memory for the claim and the commit during its call.
        let begun = Box::pin(begin(&worker, &mut delivery)).await;
        drop(held);
        let (permission, claimed) = match begun {
            Begin::Claimed(begun) => *begun,
            Begin::NotClaimed => {
                ack(delivery);
                drop(in_flight);
                drop(slot);
                return;
            }
            Begin::NoMemory => {
                drop(in_flight);
                if let Some(delivery) = delivery {
                    Box::pin(input_memory::put_last(&worker, delivery)).await;
                }
                drop(slot);
                return;
            }
        };
        let Claimed {
            mut job,
            run_inputs,
            memory,
        } = claimed;
        let read = match run_inputs {
            Some(run_inputs) => Ok(run_inputs),
            None => Box::pin(input_memory::read(&worker, &job)).await,
        };
        let mut run_inputs = match read {
            Ok(run_inputs) => run_inputs,
            Err(outcome) => {
                let wake = delivery.as_ref().map(|delivery| &delivery.wake);
                attempt_spans::begin(&mut job, None, wake);
                if let Some(call) = permission.call {
                    Box::pin(call.permits.not_used()).await;
                }
                let has_ended = Box::pin(settle(&worker, &job, outcome)).await;
                ack(delivery);
                remove_from_in_flight(in_flight, has_ended);
                drop(slot);
                return;
            }
        };
        record_queue_wait(&worker, &job, &run_inputs.meta);
        let wake = delivery.as_ref().map(|delivery| &delivery.wake);
        attempt_spans::begin(&mut job, Some(&run_inputs.meta), wake);
        let begin = ReportedCall::begin(&worker, &job, &run_inputs, permission);
        let (call_report, needed) = match Box::pin(begin).await {
            Ok(call_report) => {
                let now = worker.member.store.now();
                let needed = replaced_turns::leave_out(&mut run_inputs)
                    .and_then(|()| ResultsWait::needed(&mut run_inputs, now));
                (call_report, needed)
            }
            Err(deferral) => (None, Err(deferral)),
        };
        let outcome = match needed {
            Ok(None) => call(&worker, &job, run_inputs, &in_flight).await,
            Ok(Some(wait)) => {
                // A wait can be long, so the attempt keeps no turns, no message and no permit of an account. If the process ends,
                // the job's timer leads to another attempt.
                drop(run_inputs);
                drop(memory);
                ack(delivery);
                if let Some(call_report) = call_report {
                    Box::pin(call_report.not_called()).await;
                }
                let wait_limit = Arc::clone(&worker.results_wait_limit);
                let wait_permit = wait_limit.try_acquire_owned();
                // If too many jobs wait already, this job keeps its slot.
                let slot = wait_permit.is_err().then_some(slot);
                let outcome = Box::pin(wait.run(&worker, &job)).await;
                let has_ended = Box::pin(settle(&worker, &job, outcome)).await;
                remove_from_in_flight(in_flight, has_ended);
                drop((slot, wait_permit));
                return;
            }
            Err(outcome) => outcome,
        };
        let outcome = match call_report {
            Some(call_report) => Box::pin(call_report.report(&worker, outcome)).await,
            None => outcome,
        };
        let has_ended = Box::pin(settle(&worker, &job, outcome)).await;
        drop(memory);
        ack(delivery);
        remove_from_in_flight(in_flight, has_ended);
        drop(slot);
    }
}

/// How an attempt began.
enum Begin {
    /// The job is claimed. The permits of its call are taken, unless the wake named no model with a provider.
    Claimed(Box<(Permission, Claimed)>),
    /// There is nothing to run now.
    NotClaimed,
    /// There was no memory for the inputs of the job in time. The message must go to the end of the queue.
    NoMemory,
}

/// Takes the permits of the call and claims the job. A job that waits for memory holds no permit, so that others can call its
/// provider meanwhile.
async fn begin(worker: &WorkerContext, delivery: &mut Option<Delivery>) -> Begin {
    let mut memory = None;
    let mut is_permit_spent = false;
    loop {
        let Some(wake) = delivery.as_ref().map(|delivery| &delivery.wake) else {
            return Begin::NotClaimed;
        };
        let permission = match permit::of_wake(worker, wake, is_permit_spent).await {
            Ok(permission) => permission,
            Err(denied) => {
                if let Some(end) = permit::defer(worker, delivery, denied).await {
                    end.count(worker);
                }
                return Begin::NotClaimed;
            }
        };
        let needed_bytes = match claim(worker, delivery, memory.take()).await {
            ClaimEnd::Claimed(claimed) => {
                WakeEnd::answered(ClaimOutcome::Granted).count(worker);
                return Begin::Claimed(Box::new((permission, claimed)));
            }
            ClaimEnd::NotClaimed(end) => Err(end),
            ClaimEnd::NeedsMemory(bytes) => Ok(bytes),
        };
        if let Some(call) = permission.call {
            call.permits.not_used().await;
            is_permit_spent = true;
        }
        // When a response is lost, `claim` requeues the message. Then the job waits for its next message.
        let bytes = match needed_bytes {
            Ok(bytes) if delivery.is_some() => bytes,
            Ok(_) => {
                WakeEnd::unanswered(ClaimOutcome::Failed).count(worker);
                return Begin::NotClaimed;
            }
            Err(end) => {
                if let Some(end) = end {
                    end.count(worker);
                }
                return Begin::NotClaimed;
            }
        };
        let wait = worker.member.worker_health.record_wait();
        memory = input_memory::reserve(worker, bytes).await;
        drop(wait);
        if memory.is_none() {
            if !worker.stop.is_cancelled() {
                WakeEnd::unanswered(ClaimOutcome::NoMemory).count(worker);
            }
            return Begin::NoMemory;
        }
    }
}

/// Records how long a job waited for its first claim.
fn record_queue_wait(worker: &WorkerContext, job: &ClaimedJob, meta: &JobMeta) {
    if job.attempt == 1 {
        let age_ms = worker.member.store.now().since_ms(meta.created_at);
        let wait = Duration::from_millis(age_ms).saturating_sub(job.began.elapsed());
        worker
            .member
            .metrics
            .worker
            .record_queue_wait(meta.class, wait);
    }
}

/// Removes the job of an attempt from the jobs in flight. The commit of the attempt may already have caused a new wake of the
/// job. That wake is delivered now, unless the job has ended.
fn remove_from_in_flight(in_flight: InFlightGuard, has_ended: bool) {
    if has_ended {
        in_flight.drop_ended();
    }
}

/// Acknowledges the message of an attempt, unless it was requeued.
fn ack(delivery: Option<Delivery>) {
    if let Some(delivery) = delivery {
        delivery.ack();
    }
}

/// Logs a panic of an attempt. The guards free the job and the slot, and the message is requeued. If the job was already
/// claimed, its next claim is refused and the message is dropped. Then the job's timer leads to another attempt.
struct PanicLog(JobId);

impl Drop for PanicLog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                job_id = %self.0,
                "an attempt panicked; the job's timer leads to another attempt"
            );
        }
    }
}
