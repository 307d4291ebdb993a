//! Runs a worker from its start until it has drained.

use std::{sync::Arc, time::Duration};

use forebay_runtime::{member::Member, worker_health::ObservedSources};
use tokio::sync::Semaphore;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    accounts, call_notices,
    call_recorder::CallRecorder,
    drain::drain,
    in_flight::InFlightJobs,
    intake::Intake,
    provider::simulated,
    provider_lookup::ProviderLookup,
    settings::{COMMIT_MARGIN_MS, WorkerSettings},
    worker_context::WorkerContext,
};

/// The most jobs whose requests are read at once to find tool results in them.
const RESULTS_READS_MAX: usize = 4;

/// Runs jobs until `stop` is cancelled, then drains.
///
/// Returns at most [`WorkerSettings::drain_ms`] plus [`RELEASING_MS_MAX`](crate::RELEASING_MS_MAX)
/// after the stop. The process's other loops ([`Member`]) must run until then.
///
/// The worker claims no job before its process has a presence. Otherwise the sweeper would treat the worker as gone and
/// requeue its jobs.
pub async fn run(
    member: Arc<Member>,
    providers: Arc<dyn ProviderLookup>,
    settings: WorkerSettings,
    stop: CancellationToken,
) {
    // The observer of the worker's health starts before anything that could hang.
    let observed = Arc::clone(&member);
    let call_max_ms = settings.call_timeout_ms.saturating_add(COMMIT_MARGIN_MS);
    let observe = async move {
        let sources = ObservedSources {
            gauge: &observed.gauge,
            presence: &observed.presence,
            queue: &*observed.queue,
            store: &*observed.store,
        };
        let call_max = Duration::from_millis(call_max_ms);
        let health = &observed.worker_health;
        health
            .observe(settings.concurrency, call_max, sources)
            .await;
    };
    let observe = AbortOnDropHandle::new(tokio::spawn(observe));
    let mut presence = member.presence.clone();
    if stop
        .run_until_cancelled(presence.renewed_once())
        .await
        .is_none()
    {
        return;
    }
    let metrics = member.metrics.clone();
    let slots = i64::try_from(settings.concurrency).unwrap_or(i64::MAX);
    metrics.worker.slots.set(slots);
    metrics.calls.set_answers_any_model(simulated::NAME);
    for (provider, model) in providers.configured_models() {
        metrics.calls.add_configured_model(&provider, &model);
    }
    if settings.drops_wakes || settings.loses_wakes {
        tracing::warn!(
            "FOREBAY_TEST_DROP_WAKES or FOREBAY_TEST_LOSE_WAKES is set: this worker runs no job; it is for tests only"
        );
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
        call_recorder: Arc::new(CallRecorder::new(metrics)),
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
    drop(observe);
    drain(&worker).await;
}
