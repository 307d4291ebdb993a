//! The sequence of an attempt, from the wake to its acknowledgement.

use std::sync::Arc;

use forebay_shared::{ids::JobId, queue::Delivery};

use super::{call::call, claim::claim, results_wait::ResultsWait, settle::settle};
use crate::{in_flight::InFlightGuard, slot_guard::SlotGuard, worker_context::WorkerContext};

/// Makes an attempt at the job of a wake.
///
/// This is not an `async fn`, because that would store each of its arguments twice.
pub(crate) fn run(
    worker: Arc<WorkerContext>,
    delivery: Delivery,
    in_flight: InFlightGuard,
    slot: SlotGuard,
) -> impl Future<Output = ()> + Send {
    let mut delivery = Some(delivery);
    async move {
        let _panic_log = PanicLog(in_flight.job());
        // Boxed, so that an attempt needs no memory for the claim and the commit during its call.
        if let Some((job, mut run_inputs)) = Box::pin(claim(&worker, &mut delivery)).await {
            let outcome = match ResultsWait::needed(&mut run_inputs, worker.member.store.now()) {
                Ok(None) => call(&worker, &job, run_inputs, &in_flight).await,
                Ok(Some(wait)) => {
                    // A wait can be long, so the attempt keeps no turns and no message. If the process ends, the job's
                    // timer leads to another attempt.
                    drop(run_inputs);
                    if let Some(delivery) = delivery.take() {
                        delivery.ack();
                    }
                    let permits = Arc::clone(&worker.results_wait_permits);
                    let permit = permits.try_acquire_owned();
                    // If too many jobs wait already, this job keeps its slot.
                    let slot = permit.is_err().then_some(slot);
                    let outcome = Box::pin(wait.run(&worker, &job)).await;
                    // The settlement may release the job and publish its wake. This process must not drop that wake as a
                    // duplicate.
                    drop(in_flight);
                    Box::pin(settle(&worker, &job, outcome)).await;
                    drop((slot, permit));
                    return;
                }
                Err(outcome) => outcome,
            };
            Box::pin(settle(&worker, &job, outcome)).await;
        }
        if let Some(delivery) = delivery.take() {
            delivery.ack();
        }
        // The job leaves the jobs in flight before its slot becomes free. Otherwise the slot's next wake could be for
        // this job, and would be dropped as a duplicate.
        drop(in_flight);
        drop(slot);
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
