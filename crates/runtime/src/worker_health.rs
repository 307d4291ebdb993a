//! Whether the worker of this process is wedged: it could run jobs, and takes none.
//!
//! [`stalled_since`] is a pure function of what is observed once a second. [`WorkerHealth`] keeps the observations. The worker
//! reports to it, and `/healthz` reads it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use forebay_shared::{class::Class, queue::Queue};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{gauge::Gauge, presence::Presence};

/// How long a worker may take no job, although it could, before it counts as wedged.
pub const WEDGED_AFTER: Duration = Duration::from_secs(60);
/// How often the worker is observed.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(1);
/// Counts of this age or older do not show that jobs are ready.
const COUNTS_AGE_MAX: Duration = Duration::from_secs(5);

/// What is known of a worker at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerObservation {
    /// Whether jobs could run now. A job that waits for its provider cannot.
    pub has_ready_jobs: bool,
    /// Whether the worker has a free slot.
    pub has_free_slot: bool,
    /// Whether the store answers.
    pub store_answers: bool,
    /// Whether the worker is connected to the queue.
    pub is_consuming: bool,
    /// Whether messages wait in the queue, or in this worker. Without them the worker cannot know of the jobs: a message may have
    /// been lost, or another worker may hold it. Then a restart of this worker would not help.
    pub has_messages: bool,
    /// Whether the worker has handled a wake since the last observation: it has claimed or deferred the job, or found that the
    /// job cannot run now.
    pub has_handled_wake: bool,
}

/// Since when a worker takes no jobs, although it could. `earlier` is the result at the last observation.
#[must_use]
pub fn stalled_since(
    earlier: Option<Instant>,
    observed: WorkerObservation,
    now: Instant,
) -> Option<Instant> {
    let could_run = observed.has_ready_jobs
        && observed.has_free_slot
        && observed.store_answers
        && observed.is_consuming
        && observed.has_messages;
    (could_run && !observed.has_handled_wake).then(|| earlier.unwrap_or(now))
}

/// Whether a worker that is stalled since this time counts as wedged.
#[must_use]
pub fn is_wedged(stalled_since: Option<Instant>, now: Instant) -> bool {
    stalled_since.is_some_and(|since| now.saturating_duration_since(since) >= WEDGED_AFTER)
}

/// The health of the worker of this process. Healthy if the process has none. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct WorkerHealth {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The wakes that were handled.
    handled: AtomicU64,
    used_slots: AtomicUsize,
    held_wakes: AtomicUsize,
    stalled_since: Mutex<Option<Instant>>,
}

/// A slot in use. Dropping it frees the slot.
#[derive(Debug)]
pub struct UsedSlot(Arc<Shared>);

impl Drop for UsedSlot {
    fn drop(&mut self) {
        self.0.used_slots.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A wake that the worker holds and has not begun to handle. Dropping it ends the count.
#[derive(Debug)]
pub struct HeldWake(Arc<Shared>);

impl Drop for HeldWake {
    fn drop(&mut self) {
        self.0.held_wakes.fetch_sub(1, Ordering::Relaxed);
    }
}

impl WorkerHealth {
    /// Records that the worker holds a wake, until the result is dropped.
    #[must_use]
    pub fn hold_wake(&self) -> HeldWake {
        self.shared.held_wakes.fetch_add(1, Ordering::Relaxed);
        HeldWake(Arc::clone(&self.shared))
    }

    /// Records that the worker has handled a wake.
    pub fn record_handled_wake(&self) {
        self.shared.handled.fetch_add(1, Ordering::Relaxed);
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

    /// Whether the worker could run jobs and has taken none for [`WEDGED_AFTER`]. A restart can help.
    #[must_use]
    pub fn is_wedged(&self) -> bool {
        is_wedged(*self.stalled(), Instant::now())
    }

    /// Observes a worker with this many slots once a second, for as long as the future is polled.
    pub async fn observe(
        &self,
        slots: usize,
        gauge: &Gauge,
        presence: &Presence,
        queue: &dyn Queue,
    ) {
        // A worker that stops takes no jobs, and is not wedged.
        let _healthy_at_end = ClearOnDrop(&self.shared);
        let mut interval = interval(OBSERVE_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut handled_before, mut was_wedged) = (0, false);
        loop {
            interval.tick().await;
            let handled = self.shared.handled.load(Ordering::Relaxed);
            let mut observed = WorkerObservation {
                has_ready_jobs: Class::ALL.iter().any(|class| gauge.ready(*class) > 0),
                has_free_slot: self.used_slots() < slots,
                store_answers: presence.is_current()
                    && gauge.counts().is_some_and(|(_, age)| age < COUNTS_AGE_MAX),
                is_consuming: queue.is_connected(),
                has_messages: true,
                has_handled_wake: handled != handled_before,
            };
            // The depth of the queue costs a request, so it is read only if everything else looks wrong.
            if stalled_since(None, observed, Instant::now()).is_some() {
                observed.has_messages = self.shared.held_wakes.load(Ordering::Relaxed) > 0
                    || has_waiting_messages(gauge, queue).await;
            }
            handled_before = handled;
            let now = Instant::now();
            let mut stalled = self.stalled();
            *stalled = stalled_since(*stalled, observed, now);
            let is_wedged = is_wedged(*stalled, now);
            drop(stalled);
            log_change(was_wedged, is_wedged);
            was_wedged = is_wedged;
        }
    }

    fn stalled(&self) -> MutexGuard<'_, Option<Instant>> {
        self.shared.stalled()
    }
}

impl Shared {
    fn stalled(&self) -> MutexGuard<'_, Option<Instant>> {
        let stalled = self.stalled_since.lock();
        stalled.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether messages wait in the queue of a class that has ready jobs.
async fn has_waiting_messages(gauge: &Gauge, queue: &dyn Queue) -> bool {
    for class in Class::ALL {
        let has_ready = gauge.ready(class) > 0;
        if has_ready && queue.depth(class).await.is_ok_and(|depth| depth > 0) {
            return true;
        }
    }
    false
}

/// Logs that the worker became wedged, or recovered.
fn log_change(was_wedged: bool, is_wedged: bool) {
    match (was_wedged, is_wedged) {
        (false, true) => tracing::error!(
            stalled_s = WEDGED_AFTER.as_secs(),
            "jobs wait and the worker takes none, although it has free slots and reaches the store and the queue; /healthz fails"
        ),
        (true, false) => tracing::info!("the worker takes jobs again, or none wait"),
        _ => {}
    }
}

struct ClearOnDrop<'a>(&'a Shared);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        *self.0.stalled() = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{WEDGED_AFTER, WorkerObservation, is_wedged, stalled_since};

    const IDLE_BUT_NEEDED: WorkerObservation = WorkerObservation {
        has_ready_jobs: true,
        has_free_slot: true,
        store_answers: true,
        is_consuming: true,
        has_messages: true,
        has_handled_wake: false,
    };

    #[test]
    fn a_worker_that_takes_no_jobs_is_wedged_after_the_limit() {
        let start = Instant::now();
        let mut since = None;
        for second in 0..WEDGED_AFTER.as_secs() {
            let now = start + Duration::from_secs(second);
            since = stalled_since(since, IDLE_BUT_NEEDED, now);
            assert_eq!(since, Some(start));
            assert!(!is_wedged(since, now), "after {second} s");
        }
        assert!(is_wedged(since, start + WEDGED_AFTER));
        assert!(
            WEDGED_AFTER < Duration::from_secs(85),
            "probes need some time as well"
        );
    }

    #[test]
    fn each_condition_alone_begins_the_time_anew() {
        let start = Instant::now();
        let now = start + WEDGED_AFTER;
        for healthy in [
            WorkerObservation {
                has_ready_jobs: false,
                ..IDLE_BUT_NEEDED
            },
            WorkerObservation {
                has_free_slot: false,
                ..IDLE_BUT_NEEDED
            },
            WorkerObservation {
                store_answers: false,
                ..IDLE_BUT_NEEDED
            },
            WorkerObservation {
                is_consuming: false,
                ..IDLE_BUT_NEEDED
            },
            WorkerObservation {
                has_messages: false,
                ..IDLE_BUT_NEEDED
            },
            WorkerObservation {
                has_handled_wake: true,
                ..IDLE_BUT_NEEDED
            },
        ] {
            let since = stalled_since(Some(start), healthy, now);
            assert_eq!(since, None, "{healthy:?}");
            assert!(!is_wedged(since, now));
            assert_eq!(stalled_since(since, IDLE_BUT_NEEDED, now), Some(now));
        }
    }

    #[test]
    fn a_worker_that_was_idle_for_long_gets_the_full_time_for_its_first_job() {
        let start = Instant::now();
        let idle = WorkerObservation {
            has_ready_jobs: false,
            ..IDLE_BUT_NEEDED
        };
        let later = start + Duration::from_secs(7_200);
        let since = stalled_since(stalled_since(None, idle, start), IDLE_BUT_NEEDED, later);
        assert!(!is_wedged(since, later));
    }
}
