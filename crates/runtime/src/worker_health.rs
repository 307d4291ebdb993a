//! Whether the worker of this process is wedged: it could run jobs, and takes none.
//!
//! [`Assessment::next`] is a pure function of what is observed once a second. [`WorkerHealth`] keeps the observations. The worker
//! reports to it, and `/healthz` reads it.

mod assessment;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use forebay_shared::{
    class::Class,
    queue::Queue,
    store::{HeadFilter, Store},
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

pub use self::assessment::{Assessment, WEDGED_AFTER, WorkerObservation};
use crate::{gauge::Gauge, presence::Presence};

/// How often the worker is observed.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(1);
/// Counts of this age or older do not show that jobs are ready.
const COUNTS_AGE_MAX: Duration = Duration::from_secs(5);
/// How long the queue and the store may take to answer. An answer that takes longer shows nothing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a wait for memory counts after its last report.
const WAIT_REPORT_AGE_MAX: Duration = Duration::from_secs(60);

/// What shows whether the worker could run jobs.
#[derive(Clone, Copy)]
pub struct ObservedSources<'a> {
    /// The counts of jobs.
    pub gauge: &'a Gauge,
    /// Whether the store answers.
    pub presence: &'a Presence,
    /// The queue that the worker consumes.
    pub queue: &'a dyn Queue,
    /// The store of the jobs.
    pub store: &'a dyn Store,
}

/// The health of the worker of this process. Healthy if the process has none. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct WorkerHealth {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The number of wakes that were handled.
    handled: AtomicU64,
    used_slots: AtomicUsize,
    is_wedged: AtomicBool,
    reports: Mutex<Reports>,
}

/// What the worker has reported.
#[derive(Debug, Default)]
struct Reports {
    /// Since when the worker holds its wakes. The keys ascend.
    held_wakes: BTreeMap<u64, Instant>,
    /// The key of the next held wake.
    next_wake: u64,
    /// How many attempts wait for memory, or for other changes of their lanes.
    waiting: usize,
    /// When such a wait last ended.
    waited_at: Option<Instant>,
    /// When the intake, the worker's loop that takes wakes from the queue, last moved.
    intake_moved_at: Option<Instant>,
}

/// A slot in use. Dropping it frees the slot.
#[derive(Debug)]
pub struct UsedSlot(Arc<Shared>);

impl Drop for UsedSlot {
    fn drop(&mut self) {
        self.0.used_slots.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A wake that the worker holds and has not handled. Dropping it reports that it was handled or put back.
#[derive(Debug)]
pub struct HeldWake {
    shared: Arc<Shared>,
    key: u64,
}

impl Drop for HeldWake {
    fn drop(&mut self) {
        self.shared.reports().held_wakes.remove(&self.key);
    }
}

/// An attempt that waits for memory, or for other changes of its lane. Dropping it ends the wait.
#[derive(Debug)]
pub struct RecordedWait(Arc<Shared>);

impl Drop for RecordedWait {
    fn drop(&mut self) {
        let mut reports = self.0.reports();
        reports.waiting -= 1;
        reports.waited_at = Some(Instant::now());
    }
}

impl WorkerHealth {
    /// Records that the worker holds a wake, until the result is dropped.
    #[must_use]
    pub fn hold_wake(&self) -> HeldWake {
        let mut reports = self.shared.reports();
        let key = reports.next_wake;
        reports.next_wake += 1;
        reports.held_wakes.insert(key, Instant::now());
        HeldWake {
            shared: Arc::clone(&self.shared),
            key,
        }
    }

    /// Records that the worker has handled a wake.
    pub fn record_handled_wake(&self) {
        self.shared.handled.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that an attempt waits for memory, or for other changes of its lane, until the result is dropped.
    #[must_use]
    pub fn record_wait(&self) -> RecordedWait {
        self.shared.reports().waiting += 1;
        RecordedWait(Arc::clone(&self.shared))
    }

    /// Records that the intake moves.
    pub fn record_intake(&self) {
        self.shared.reports().intake_moved_at = Some(Instant::now());
    }

    /// Records that a slot is in use, until the result is dropped.
    #[must_use]
    pub fn use_slot(&self) -> UsedSlot {
        self.shared.used_slots.fetch_add(1, Ordering::Relaxed);
        UsedSlot(Arc::clone(&self.shared))
    }

    /// How many slots are in use.
    #[must_use]
    pub fn used_slots(&self) -> usize {
        self.shared.used_slots.load(Ordering::Relaxed)
    }

    /// Whether the worker could run jobs and has handled none for [`WEDGED_AFTER`], by the last observation. A restart can help.
    #[must_use]
    pub fn is_wedged(&self) -> bool {
        self.shared.is_wedged.load(Ordering::Relaxed)
    }

    /// Observes a worker with this many slots once a second, for as long as the future is polled. `call_max` is the longest time
    /// from a claim to the end of its call: a job may wait that long for the memory of running calls.
    pub async fn observe(&self, slots: usize, call_max: Duration, sources: ObservedSources<'_>) {
        let ObservedSources {
            gauge,
            presence,
            queue,
            ..
        } = sources;
        // A worker that stops takes no jobs, and is not wedged.
        let _healthy_at_end = ClearOnDrop(&self.shared);
        let mut interval = interval(OBSERVE_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut handled_before, mut assessment) = (0, Assessment::default());
        let mut observed_at = Instant::now();
        // The intake gets time to start.
        self.record_intake();
        loop {
            interval.tick().await;
            let began = Instant::now();
            let handled = self.shared.handled.load(Ordering::Relaxed);
            let has_handled = handled != handled_before;
            handled_before = handled;
            let could_run = !has_handled && self.used_slots() < slots && queue.is_consuming();
            let has_ready_jobs = Class::ALL.iter().any(|class| gauge.ready(*class) > 0);
            // The search for messages costs requests, so it is made only if all else shows that the worker should handle some.
            let has_messages = could_run
                && has_ready_jobs
                && (self.shared.reports().holds_wakes() || has_waiting_messages(sources).await);
            let now = Instant::now();
            let reports = self.shared.reports();
            let observed = WorkerObservation {
                pause: (now - began).max(began - observed_at),
                store_answers: presence.is_current()
                    && gauge.counts().is_some_and(|(_, age)| age < COUNTS_AGE_MAX),
                is_consuming: queue.is_consuming(),
                has_ready_jobs,
                has_free_slot: self.used_slots() < slots,
                has_messages,
                oldest_held: reports.oldest_held(now),
                intake_idle: reports.intake_idle(now),
                has_handled,
                allowed_wait: if reports.waits_for_memory(now) {
                    call_max
                } else {
                    Duration::ZERO
                },
            };
            drop(reports);
            let was_wedged = assessment.is_wedged;
            assessment = assessment.next(observed, now);
            let is_wedged = &self.shared.is_wedged;
            is_wedged.store(assessment.is_wedged, Ordering::Relaxed);
            log_change(was_wedged, assessment.is_wedged, observed);
            observed_at = Instant::now();
        }
    }
}

impl Shared {
    fn reports(&self) -> MutexGuard<'_, Reports> {
        let reports = self.reports.lock();
        reports.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reports {
    fn holds_wakes(&self) -> bool {
        !self.held_wakes.is_empty()
    }

    fn oldest_held(&self, now: Instant) -> Option<Duration> {
        let (_, since) = self.held_wakes.first_key_value()?;
        Some(now.saturating_duration_since(*since))
    }

    fn intake_idle(&self, now: Instant) -> Duration {
        let moved_at = self.intake_moved_at.unwrap_or(now);
        now.saturating_duration_since(moved_at)
    }

    /// Whether an attempt waits for memory, or has waited a short time ago. A job whose wait has ended is at the end of the
    /// queue, and soon waits again.
    fn waits_for_memory(&self, now: Instant) -> bool {
        let recently = |at: Instant| now.saturating_duration_since(at) < WAIT_REPORT_AGE_MAX;
        self.waiting > 0 || self.waited_at.is_some_and(recently)
    }
}

/// Whether ready jobs have messages for this worker.
///
/// A message that the queue has delivered is no longer in the queue's depth, even if it was lost on the way to the worker. But while the
/// queue is empty and jobs are ready, the sweeper publishes their messages again, about every 10 s. So a ready job has messages,
/// unless an alarm stops the queue.
async fn has_waiting_messages(sources: ObservedSources<'_>) -> bool {
    let ObservedSources {
        gauge,
        queue,
        store,
        ..
    } = sources;
    let find = async {
        for class in Class::ALL {
            if gauge.ready(class) == 0 {
                continue;
            }
            let is_in_queue = queue.depth(class).await.is_ok_and(|depth| depth > 0);
            // The counts alone do not prove that there is such a job.
            let is_published = async || {
                let heads = store.heads(HeadFilter::Ready(class), None, 1).await;
                queue.is_connected() && heads.is_ok_and(|page| !page.heads.is_empty())
            };
            if is_in_queue || is_published().await {
                return true;
            }
        }
        false
    };
    timeout(ANSWER_TIMEOUT, find).await.unwrap_or(false)
}

/// Logs that the worker became wedged, or recovered.
fn log_change(was_wedged: bool, is_wedged: bool, observed: WorkerObservation) {
    match (was_wedged, is_wedged) {
        (false, true) => tracing::error!(
            stalled_s = WEDGED_AFTER.as_secs(),
            ready_jobs = observed.has_ready_jobs,
            oldest_message_s = observed.oldest_held.map(|age| age.as_secs()),
            intake_idle_s = observed.intake_idle.as_secs(),
            "the worker handles no messages, although it has some or jobs wait, and the store answers; /healthz fails"
        ),
        (true, false) => {
            tracing::info!("the worker handles messages again, or there are none for it");
        }
        _ => {}
    }
}

struct ClearOnDrop<'a>(&'a Shared);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        self.0.is_wedged.store(false, Ordering::Relaxed);
    }
}
