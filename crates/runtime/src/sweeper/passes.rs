//! The passes of a sweep: over due timers, running jobs, ready heads, and expired records and sessions.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    gauge::Gauge,
    lanes::{LaneChange, LaneError, Lanes},
    presence::Presence,
    wakes::Wakes,
};
use forebay_shared::{
    class::Class,
    ids::ProcessId,
    lane::{LiveProcesses, PUBLISH_LIMIT_MS, REVISIT_MS, Refused},
    queue::Queue,
    store::{HeadFilter, Store, StoreError, Timer, TimerMove},
};

/// How long a term lasts if it is not extended.
pub(super) const TERM_MS: u64 = 2_000;
/// The most timers or running heads that one read returns, and the most records or sessions that one call deletes.
const PAGE: usize = 500;
/// How many heads are woken with one request to the store.
pub(super) const WAKE_PAGE: usize = 1_000;
/// The most pages of one pass over due timers or expired records, so that it does not delay the other passes for long.
const PAGES_MAX: usize = 10;
/// How many lanes are ticked at a time.
const TICKS_AT_ONCE: usize = 256;
/// The timeout of one tick.
const TICK_TIMEOUT: Duration = Duration::from_secs(2);
/// How far a timer whose tick has failed is postponed: until the next sweep. So the timers that are due now go first.
const FAILED_TICK_DELAY_MS: u64 = 250;
/// The longest pause between two pages of heads to wake. The pause is as long as the page took, so that half of the
/// store's capacity is left to others.
pub(super) const PAUSE_MAX: Duration = Duration::from_millis(50);

/// The settings of a sweeper.
#[derive(Clone, Copy, Debug)]
pub struct SweeperSettings {
    /// The most sessions that are kept. `None` means no limit.
    pub sessions_max: Option<u64>,
}

/// Acts on due timers while it is elected.
pub struct Sweeper {
    /// The id of this process.
    pub id: ProcessId,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The queue. The sweeper only reads its state; wakes go through `lanes`.
    pub queue: Arc<dyn Queue>,
    /// Applies the ticks.
    pub lanes: Lanes,
    /// Reports for how long no publish has been confirmed, and whether ready heads may have no wake.
    pub wakes: Wakes,
    /// The counts.
    pub gauge: Arc<Gauge>,
    /// The processes that are alive.
    pub presence: Presence,
    /// Tells the [`ResumeLoop`](super::ResumeLoop) whether this process is elected.
    pub is_sweeper_sender: watch::Sender<bool>,
    /// The settings.
    pub settings: SweeperSettings,
}

impl Sweeper {
    /// Acts on every timer that is due.
    pub(super) async fn tick_due(&self) -> Result<(), StoreError> {
        for _ in 0..PAGES_MAX {
            let due = self.store.due_timers(self.store.now(), PAGE).await?;
            let is_last = due.len() < PAGE;
            let live = self.presence.live_processes();
            self.tick_all(due, live.as_ref()).await;
            if is_last || !self.extend_term().await? {
                break;
            }
        }
        Ok(())
    }

    /// Takes the running jobs over from workers that are gone. Returns `false` if some of them may be left.
    pub(super) async fn take_over_running(&self, live: &LiveProcesses) -> Result<bool, StoreError> {
        let mut after = None;
        let mut is_complete = true;
        loop {
            let page = self
                .store
                .heads(HeadFilter::Running, after.as_ref(), PAGE)
                .await?;
            after = page.heads.last().cloned();
            let is_gone = |worker: &ProcessId| !live.alive.contains(worker);
            let orphans = page
                .heads
                .into_iter()
                .filter(|head| head.worker.as_ref().is_some_and(is_gone))
                .map(|head| Timer {
                    job: head.job,
                    lane: head.lane,
                    at: head.timer,
                })
                .collect();
            is_complete &= self.tick_all(orphans, Some(live)).await;
            if page.is_last {
                return Ok(is_complete);
            }
            if !self.extend_term().await? {
                return Ok(false);
            }
        }
    }

    /// Wakes every ready head of a class, page by page, except those whose wakes are known to be in the queue. Ends when the
    /// queue is full, because the refill wakes the other heads.
    pub(super) async fn wake_ready(&self, class: Class) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let began = Instant::now();
            let mut page = self
                .store
                .heads(HeadFilter::Ready(class), after.as_ref(), WAKE_PAGE)
                .await?;
            after = page.heads.last().cloned();
            page.heads
                .retain(|head| !self.queue.has_wake(class, head.job));
            self.lanes.wake_ready(class, &page.heads).await?;
            if page.is_last || self.wakes.has_surplus(class) || !self.extend_term().await? {
                return Ok(());
            }
            sleep(began.elapsed().min(PAUSE_MAX)).await;
        }
    }

    /// Deletes expired records and sessions, and evicts sessions beyond the limit.
    pub(super) async fn delete_expired(&self) -> Result<(), StoreError> {
        for _ in 0..PAGES_MAX {
            let mut deleted = self.store.delete_expired(PAGE).await?;
            if let Some(sessions_max) = self.settings.sessions_max {
                deleted = deleted.max(self.store.evict_sessions(sessions_max, PAGE).await?);
            }
            // Nothing is left if less than a page of each kind was deleted.
            if deleted < PAGE as u64 || !self.extend_term().await? {
                break;
            }
        }
        Ok(())
    }

    /// Extends the term. Returns whether this process is still the sweeper.
    pub(super) async fn extend_term(&self) -> Result<bool, StoreError> {
        self.store.elect_sweeper(&self.id, TERM_MS).await
    }

    /// Ticks many lanes at a time. Returns `false` if a later sweep must tick one of them again.
    ///
    /// A timer that its tick has not moved is removed or postponed. Otherwise, many such timers would fill each page of due
    /// timers and hide all later ones.
    async fn tick_all(&self, timers: Vec<Timer>, live: Option<&LiveProcesses>) -> bool {
        let mut orphans = Vec::new();
        let mut postponed = Vec::new();
        let mut are_all_applied = true;
        let mut ticks = stream::iter(timers)
            .map(|timer| async {
                let tick = LaneChange::tick(timer.clone(), live.cloned());
                (timer, self.lanes.apply(tick, TICK_TIMEOUT).await)
            })
            .buffer_unordered(TICKS_AT_ONCE);
        while let Some((timer, result)) = ticks.next().await {
            let job_id = timer.job;
            match result {
                Ok(_) => {}
                // The job has ended, and normally its timer was removed with it.
                Err(LaneError::Refused(Refused::Gone)) => orphans.push(timer),
                Err(LaneError::Store(StoreError::Newer(document))) => {
                    tracing::debug!(%job_id, %document, "a timer is postponed: only a process of a newer release can act on it");
                    postponed.push(self.postponed(&timer, PUBLISH_LIMIT_MS));
                }
                Err(error) => {
                    tracing::debug!(%error, %job_id, "a due timer was not acted on; the next sweep tries again");
                    postponed.push(self.postponed(&timer, FAILED_TICK_DELAY_MS));
                    are_all_applied = false;
                }
            }
        }
        drop(ticks);
        postponed.extend(self.remove_orphans(orphans).await);
        if !postponed.is_empty()
            && let Err(error) = self.store.move_timers(&postponed).await
        {
            tracing::debug!(%error, timers = postponed.len(), "due timers could not be postponed; the next sweep tries again");
        }
        are_all_applied
    }

    /// Removes the timers of jobs that are not live. Returns moves that postpone those that were not removed.
    async fn remove_orphans(&self, orphans: Vec<Timer>) -> Vec<TimerMove> {
        if orphans.is_empty() {
            return Vec::new();
        }
        let removed = self.store.remove_orphan_timers(&orphans).await;
        let removed = removed.unwrap_or_else(|error| {
            tracing::debug!(%error, timers = orphans.len(), "timers without jobs could not be removed; they are postponed");
            vec![false; orphans.len()]
        });
        let left = orphans.into_iter().zip(removed);
        left.filter(|(_, is_removed)| !is_removed)
            .map(|(timer, _)| self.postponed(&timer, REVISIT_MS))
            .collect()
    }

    /// The move of a timer into the future, if it still has the time that was read.
    fn postponed(&self, timer: &Timer, delay_ms: u64) -> TimerMove {
        TimerMove {
            job: timer.job,
            from: timer.at,
            to: self.store.now().plus_ms(delay_ms),
        }
    }
}
