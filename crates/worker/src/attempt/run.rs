//! The sequence of an attempt, from the wake to its acknowledgement.

use std::sync::Arc;

use forebay_shared::{ids::JobId, queue::Delivery};

use super::{
    account_report::ReportedCall, call::call, call_outcome::CallOutcome, claim::claim, permit,
    results_wait::ResultsWait, settle::settle,
};
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
        let Some(wake) = delivery.as_ref().map(|delivery| &delivery.wake) else {
            return;
        };
        let permission = match Box::pin(permit::of_wake(&worker, wake)).await {
            Ok(permission) => permission,
            Err(denied) => {
                // The sweeper may resume the job at once. This process must not drop the new wake as a duplicate.
                drop(in_flight);
                Box::pin(permit::defer(&worker, &mut delivery, denied)).await;
                ack(delivery);
                drop(slot);
                return;
            }
        };
        let Some((job, mut run_inputs)) = Box::pin(claim(&worker, &mut delivery)).await else {
            if let Some(call) = permission.call {
                Box::pin(call.permits.not_used()).await;
            }
            ack(delivery);
            drop(in_flight);
            drop(slot);
            return;
        };
        let begin = ReportedCall::begin(&worker, &job, &run_inputs, permission);
        let (call_report, needed) = match Box::pin(begin).await {
            Ok(call_report) => {
                let now = worker.member.store.now();
                (call_report, ResultsWait::needed(&mut run_inputs, now))
            }
            Err(deferral) => (None, Err(deferral)),
        };
        let outcome = match needed {
            Ok(None) => call(&worker, &job, run_inputs, &in_flight).await,
            Ok(Some(wait)) => {
                // A wait can be long, so the attempt keeps no turns, no message and no permit. If the process ends,
                // the job's timer leads to another attempt.
                drop(run_inputs);
                ack(delivery);
                if let Some(call_report) = call_report {
                    Box::pin(call_report.not_called()).await;
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
        let outcome = match call_report {
            Some(call_report) => Box::pin(call_report.report(&worker, outcome)).await,
            None => outcome,
        };
        // The sweeper may resume a deferred job at once. This process must not drop the new wake as a duplicate.
        let is_deferred = matches!(outcome, CallOutcome::Deferred(_));
        let in_flight = (!is_deferred).then_some(in_flight);
        Box::pin(settle(&worker, &job, outcome)).await;
        ack(delivery);
        // The job leaves the jobs in flight before its slot becomes free. Otherwise the slot's next wake could be for
        // this job, and would be dropped as a duplicate.
        drop(in_flight);
        drop(slot);
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
