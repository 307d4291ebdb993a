//! The handle [`Lanes`]: queues the changes of each lane, and runs one task for each lane with queued changes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{
    applied::Applied,
    cache::LaneCache,
    change::LaneChange,
    committer::{Committer, Pending},
    draft::LaneSettings,
    error::LaneError,
    failed_jobs::FailedJobsLog,
    head_wakes::HeadWakes,
};
use crate::{byte_budget::ByteBudget, wakes::Wakes};
use forebay_metrics::lanes::LaneMetrics;
use forebay_shared::{
    class::Class,
    ids::LaneKey,
    session::SessionBounds,
    store::{Head, Store, StoreError},
};
use forebay_telemetry::{TaskContext, task_context};

/// The most changes that may wait for one lane in one process.
const WAITING_MAX: usize = 1_000;

/// Changes lanes. Cheap to clone.
#[derive(Clone)]
pub struct Lanes {
    shared: Arc<Shared>,
}

struct Shared {
    committer: Committer,
    /// The changes that wait, by lane. While a lane is in this map, its task runs.
    waiting: Mutex<HashMap<LaneKey, VecDeque<Pending>>>,
}

impl Lanes {
    /// The lanes of `store`. Heads are woken through `wakes`. `reads` is the memory for the inputs that commits read. Conflicts
    /// and takeovers are counted in `metrics`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        wakes: Wakes,
        settings: LaneSettings,
        reads: ByteBudget,
        metrics: LaneMetrics,
    ) -> Self {
        let head_wakes = HeadWakes {
            store: Arc::clone(&store),
            wakes,
        };
        let committer = Committer {
            store,
            head_wakes,
            settings,
            cache: LaneCache::default(),
            failed_jobs: FailedJobsLog::default(),
            metrics,
            reads,
        };
        Self {
            shared: Arc::new(Shared {
                committer,
                waiting: Mutex::default(),
            }),
        }
    }

    /// The limits of a session.
    #[must_use]
    pub fn session_bounds(&self) -> SessionBounds {
        self.shared.committer.settings.session
    }

    /// Makes a change. Returns once it is on disk, or after `timeout`.
    ///
    /// # Errors
    /// [`LaneError`]. After `LaneError::Store` the change may have been made, or a commit in flight may still make it.
    /// The change may safely be repeated.
    pub async fn apply(&self, change: LaneChange, timeout: Duration) -> Result<Applied, LaneError> {
        let deadline = Instant::now() + timeout;
        let (sender, answer) = oneshot::channel();
        let lane = change.lane.clone();
        self.enqueue(lane, Pending::new(change, deadline, sender))?;
        match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            // The task has panicked in an engine, or the timeout has passed.
            Ok(Err(_)) | Err(_) => Err(LaneError::Store(StoreError::Unavailable(None))),
        }
    }

    /// Wakes ready heads of a class with one request to the store.
    ///
    /// # Errors
    /// [`StoreError`] if it is not known whether the timers were moved. Then no head is woken. The sweeper wakes each head
    /// when its timer is due.
    pub async fn wake_ready(&self, class: Class, heads: &[Head]) -> Result<(), StoreError> {
        self.shared
            .committer
            .head_wakes
            .wake_ready(class, heads)
            .await
    }

    /// Refills the queue: requests a wake for each of these ready heads. Does not move their timers before the wakes are
    /// confirmed, so the caller must find the heads again if the wakes are rejected.
    pub fn refill(&self, class: Class, heads: &[Head]) {
        self.shared.committer.head_wakes.refill(class, heads);
    }

    /// Logs at intervals how many failed jobs were left out of the log. Never returns.
    pub async fn report_unlogged_failures(&self) {
        self.shared.committer.failed_jobs.report_unlogged().await;
    }

    fn enqueue(&self, lane: LaneKey, pending: Pending) -> Result<(), LaneError> {
        let mut waiting = self.shared.waiting();
        if let Some(queue) = waiting.get_mut(&lane) {
            if queue.len() >= WAITING_MAX {
                return Err(LaneError::Contended);
            }
            queue.push_back(pending);
            return Ok(());
        }
        waiting.insert(lane.clone(), VecDeque::from([pending]));
        drop(waiting);
        tokio::spawn(run_lane(Arc::clone(&self.shared), lane));
        Ok(())
    }
}

/// Makes the changes of one lane, batch by batch, until none waits.
async fn run_lane(shared: Arc<Shared>, lane: LaneKey) {
    let _guard = PanicGuard {
        shared: &shared,
        lane: &lane,
    };
    while let Some(mut batch) = shared.next_batch(&lane) {
        // The log lines of a change show the request or the job that it is for. Several changes have no common context.
        let context = match batch.as_mut_slice() {
            [only] => std::mem::take(&mut only.context),
            _ => TaskContext::default(),
        };
        // Boxed, because tokio copies a task's future several times, and this one is several KiB large.
        let commit = Box::pin(shared.committer.run(&lane, batch));
        task_context::scope(context, commit).await;
    }
}

/// Removes the queue of a lane whose task panics. Callers that wait get an error, and the next change starts a new task.
struct PanicGuard<'a> {
    shared: &'a Shared,
    lane: &'a LaneKey,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.waiting().remove(self.lane);
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<LaneKey, VecDeque<Pending>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next batch from the queue: all changes up to the next claim. Changes whose callers have gone away are
    /// dropped. If no change is left, removes the queue and returns `None`.
    ///
    /// A claim begins a new batch for two reasons. A load or a commit returns the [`RunInputs`](forebay_shared::store::RunInputs) of
    /// only one job. And it returns only turns that were committed before, so the changes before the claim must be committed first.
    fn next_batch(&self, lane: &LaneKey) -> Option<Vec<Pending>> {
        let mut waiting = self.waiting();
        let queue = waiting.get_mut(lane)?;
        let mut batch: Vec<Pending> = Vec::with_capacity(queue.len());
        while let Some(next) = queue.front() {
            if next.is_claim() && !batch.is_empty() {
                break;
            }
            batch.extend(queue.pop_front().filter(Pending::is_awaited));
        }
        if batch.is_empty() {
            waiting.remove(lane);
            return None;
        }
        Some(batch)
    }
}
