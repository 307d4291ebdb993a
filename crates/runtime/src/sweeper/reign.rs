//! What the elected sweeper remembers from one sweep to the next, and in which order it works.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::Sweeper;
use forebay_shared::{class::Class, ids::ProcessId, store::StoreError};

/// How often the queue's depth is held against the counts.
const DEPTH_EVERY: Duration = Duration::from_secs(5);
/// How long that may take.
const DEPTH_TIMEOUT: Duration = Duration::from_millis(500);
/// How often what is over is forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// The time since an election.
pub(super) struct Reign {
    since: Instant,
    /// Who was at work when the running jobs were last passed over.
    passed_for: Option<Arc<BTreeSet<ProcessId>>>,
    /// Whether the ready heads have been woken after a start that lost all messages.
    woke_all: bool,
    depth_at: Instant,
    /// The classes whose queue was empty at the last look, while there was work for it.
    found_empty: [bool; Class::ALL.len()],
    prune_at: Instant,
}

impl Reign {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            since: now,
            passed_for: None,
            woke_all: false,
            depth_at: now + DEPTH_EVERY,
            found_empty: [false; Class::ALL.len()],
            prune_at: now,
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// One sweep. What fails is tried again at the next.
    pub(super) async fn sweep(&mut self, sweeper: &Sweeper) {
        if let Err(error) = self.try_sweep(sweeper).await {
            tracing::warn!(%error, "a sweep was cut short");
        }
    }

    async fn try_sweep(&mut self, sweeper: &Sweeper) -> Result<(), StoreError> {
        if !self.woke_all && !sweeper.queue.survives_restart() {
            for class in Class::ALL {
                sweeper.wake_ready(class).await?;
            }
        }
        self.woke_all = true;
        sweeper.tick_due().await?;
        self.pass_if_somebody_left(sweeper).await?;
        if Instant::now() >= self.depth_at {
            self.depth_at = Instant::now() + DEPTH_EVERY;
            self.look_for_lost_messages(sweeper).await?;
        }
        if Instant::now() >= self.prune_at {
            self.prune_at = Instant::now() + PRUNE_EVERY;
            sweeper.forget().await?;
        }
        Ok(())
    }

    /// Passes over the running jobs once after the election, and whenever somebody has gone.
    async fn pass_if_somebody_left(&mut self, sweeper: &Sweeper) -> Result<(), StoreError> {
        let Some(verdict) = sweeper.presence.live_processes() else {
            return Ok(());
        };
        let unchanged = |passed: &Arc<BTreeSet<ProcessId>>| passed.is_subset(&verdict.alive);
        let passed = self.passed_for.as_ref().is_some_and(unchanged)
            || sweeper.pass_over_running(&verdict).await?;
        // What could not be acted on is passed over again.
        self.passed_for = passed.then_some(verdict.alive);
        Ok(())
    }

    /// Found empty twice while there is work for it: a purge, or a broker that lost its disk.
    async fn look_for_lost_messages(&mut self, sweeper: &Sweeper) -> Result<(), StoreError> {
        let Some((counts, _)) = sweeper.gauge.counts() else {
            return Ok(());
        };
        for (class, found_empty) in Class::ALL.into_iter().zip(&mut self.found_empty) {
            let has_work = counts.class(class).live.ready > 0;
            // A broker that stalls must not hold up what needs no broker, expiry above all.
            let depth = timeout(DEPTH_TIMEOUT, sweeper.queue.depth(class)).await;
            if let Ok(Ok(depth)) = depth {
                sweeper.gauge.record_depth(class, depth);
            }
            let is_empty = matches!(depth, Ok(Ok(0)));
            if has_work && is_empty && *found_empty {
                tracing::info!(%class, "the queue is empty though there is work: waking all of it");
                sweeper.wake_ready(class).await?;
                *found_empty = false;
            } else {
                *found_empty = has_work && is_empty;
            }
        }
        Ok(())
    }
}
