//! Runs a worker from its start until it has drained.

use std::sync::Arc;

use forebay_runtime::member::Member;
use tokio::sync::Semaphore;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    accounts, call_notices, drain::drain, in_flight::InFlightJobs, intake::Intake,
    providers::Providers, settings::WorkerSettings, worker_context::WorkerContext,
};

/// The most jobs whose requests are read at once to find tool results in them.
const RESULTS_READS_MAX: usize = 4;

/// Runs jobs until `stop` is cancelled, then drains.
///
/// Returns at most [`WorkerSettings::drain_ms`] plus [`RELEASING_MS_MAX`](crate::RELEASING_MS_MAX)
/// after the stop. The process's other loops ([`Member`]) must run until then.
///
/// The worker claims no job before its process has a presence. Otherwise the sweeper would treat the worker as dead and
/// requeue its jobs.
pub async fn run(
    member: Arc<Member>,
    providers: Arc<dyn Providers>,
    settings: WorkerSettings,
    stop: CancellationToken,
) {
    let mut presence = member.presence.clone();
    if stop
        .run_until_cancelled(presence.renewed_once())
        .await
        .is_none()
    {
        return;
    }
    let (in_flight, missed_wakes) = InFlightJobs::new(Arc::clone(&member.queue));
    let worker = Arc::new(WorkerContext {
        member,
        providers,
        settings,
        in_flight: Arc::new(in_flight),
        results_wait_limit: Arc::new(Semaphore::new(settings.results_waits_max)),
        results_read_limit: Arc::new(Semaphore::new(RESULTS_READS_MAX)),
        memory_wait_limit: Semaphore::new((settings.concurrency / 4).max(1)),
        context_limits: Arc::default(),
        attempts: TaskTracker::new(),
        stop,
        release_jobs: CancellationToken::new(),
        abort_attempts: CancellationToken::new(),
    });
    let limits = accounts::keep_limits_configured(Arc::clone(&worker));
    let _limits = AbortOnDropHandle::new(tokio::spawn(limits));
    let notices = call_notices::run(Arc::clone(&worker.member), Arc::clone(&worker.in_flight));
    let _notices = AbortOnDropHandle::new(tokio::spawn(notices));
    Intake::new(Arc::clone(&worker), missed_wakes).run().await;
    drain(&worker).await;
}
