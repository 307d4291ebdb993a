//! One term of an elected sweeper: the state that is kept between sweeps, and the order of the passes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::passes::Sweeper;
use forebay_shared::{class::Class, ids::ProcessId, store::StoreError};

/// How often the queue's depth is compared with the counts.
const DEPTH_EVERY: Duration = Duration::from_secs(5);
/// The timeout of one read of the queue's depth.
const DEPTH_TIMEOUT: Duration = Duration::from_millis(500);
/// How often expired records are deleted.
const DELETE_EVERY: Duration = Duration::from_secs(1);

/// One term of an elected sweeper.
pub(super) struct Term {
    since: Instant,
    /// The processes that were alive at the last complete pass over the running jobs.
    alive_at_pass: Option<Arc<BTreeSet<ProcessId>>>,
    /// Whether the ready heads were woken once in this term, or need not be woken because the queue survives restarts.
    has_woken_all: bool,
    next_depth: Instant,
    /// Whether the queue of each class was last found empty although the class had ready jobs.
    was_empty: [bool; Class::ALL.len()],
    next_delete: Instant,
}

impl Term {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            since: now,
            alive_at_pass: None,
            has_woken_all: false,
            next_depth: now + DEPTH_EVERY,
            was_empty: [false; Class::ALL.len()],
            next_delete: now,
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Sweeps once. A pass that fails is repeated by the next sweep.
    pub(super) async fn sweep(&mut self, sweeper: &Sweeper) {
        if let Err(error) = self.try_sweep(sweeper).await {
            tracing::warn!(%error, "a sweep failed; the next sweep repeats it");
        }
    }

    async fn try_sweep(&mut self, sweeper: &Sweeper) -> Result<(), StoreError> {
        if !self.has_woken_all && !sweeper.queue.survives_restart() {
            for class in Class::ALL {
                sweeper.wake_ready(class).await?;
            }
        }
        self.has_woken_all = true;
        sweeper.tick_due().await?;
        self.take_over_from_gone(sweeper).await?;
        for class in Class::ALL {
            sweeper.refill(class).await?;
        }
        if Instant::now() >= self.next_depth {
            self.next_depth = Instant::now() + DEPTH_EVERY;
            self.find_lost_messages(sweeper).await?;
        }
        if Instant::now() >= self.next_delete {
            self.next_delete = Instant::now() + DELETE_EVERY;
            sweeper.delete_expired().await?;
        }
        Ok(())
    }

    /// Checks the running jobs once after the election, and again whenever a process has gone. If a job could not be taken
    /// over, the next sweep checks all of them again.
    async fn take_over_from_gone(&mut self, sweeper: &Sweeper) -> Result<(), StoreError> {
        let Some(live) = sweeper.presence.live_processes() else {
            return Ok(());
        };
        let are_all_alive = |before: &Arc<BTreeSet<ProcessId>>| before.is_subset(&live.alive);
        let is_complete = self.alive_at_pass.as_ref().is_some_and(are_all_alive)
            || sweeper.take_over_running(&live).await?;
        self.alive_at_pass = is_complete.then_some(live.alive);
        Ok(())
    }

    /// Wakes all ready heads of a class if its queue is empty twice in a row although the class has ready jobs. Then the
    /// queue was purged, or the broker has lost its disk.
    async fn find_lost_messages(&mut self, sweeper: &Sweeper) -> Result<(), StoreError> {
        let Some((counts, _)) = sweeper.gauge.counts() else {
            return Ok(());
        };
        for (class, was_empty) in Class::ALL.into_iter().zip(&mut self.was_empty) {
            let has_ready_jobs = counts.class(class).live.ready > 0;
            // A broker that stalls must not delay the passes that need no broker, above all the expiry of jobs.
            let depth = timeout(DEPTH_TIMEOUT, sweeper.queue.depth(class)).await;
            if let Ok(Ok(depth)) = depth {
                sweeper.gauge.record_depth(class, depth);
            }
            let is_empty = matches!(depth, Ok(Ok(0)));
            if has_ready_jobs && is_empty && *was_empty {
                tracing::info!(
                    %class,
                    "the queue is empty although jobs are ready; waking all of them"
                );
                sweeper.wake_ready(class).await?;
                *was_empty = false;
            } else {
                *was_empty = has_ready_jobs && is_empty;
            }
        }
        Ok(())
    }
}
