//! The passes of a sweep: over due timers, over running jobs, over ready heads, over what is over.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep};

use super::{ELECTION_TTL_MS, Sweeper};
use crate::lanes::{LaneChange, LaneError};
use forebay_shared::{
    class::Class,
    lane::{GRACE_MS, LiveProcesses, REVISIT_MS, Refused},
    store::{HeadFilter, StoreError, Timer, TimerMove},
};

/// How many timers or heads are read at a time.
const PAGE: usize = 500;
/// How many heads are woken in one trip.
const WAKE_PAGE: usize = 1_000;
/// The most pages of due timers in one sweep, so that the election is renewed in between.
const PAGES_MAX: usize = 10;
/// How many lanes are worked on at a time.
const AT_ONCE: usize = 256;
/// How long one tick may wait for the store.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two pages of heads that are woken there is a pause as long as the page took, so that a flood leaves half
/// of the store to others; but no longer than this.
const PAUSE_MAX: Duration = Duration::from_millis(50);

impl Sweeper {
    /// Acts on every timer that is due.
    pub(super) async fn tick_due(&self) -> Result<(), StoreError> {
        for _ in 0..PAGES_MAX {
            let due = self.store.due_timers(self.store.now(), PAGE).await?;
            let full = due.len() == PAGE;
            let presence = self.presence.live_processes();
            self.tick_all(due, presence.as_ref()).await;
            if !full || !self.store.elect_sweeper(&self.id, ELECTION_TTL_MS).await? {
                break;
            }
        }
        Ok(())
    }

    /// Looks at every running job of a worker that is gone; whether each was acted on.
    pub(super) async fn pass_over_running(
        &self,
        verdict: &LiveProcesses,
    ) -> Result<bool, StoreError> {
        let mut after = None;
        let mut all = true;
        loop {
            let heads = self
                .store
                .heads(HeadFilter::Running, after.as_ref(), PAGE)
                .await?;
            let Some(last) = heads.last() else {
                return Ok(all);
            };
            after = Some(last.lane.clone());
            let orphans = heads
                .into_iter()
                .filter(|head| {
                    head.worker
                        .as_ref()
                        .is_some_and(|w| !verdict.alive.contains(w))
                })
                .map(|head| Timer {
                    job: head.job,
                    lane: head.lane,
                    at: head.timer,
                })
                .collect();
            all &= self.tick_all(orphans, Some(verdict)).await;
            if !self.store.elect_sweeper(&self.id, ELECTION_TTL_MS).await? {
                return Ok(false);
            }
        }
    }

    /// Wakes every head of a class that could run, page by page.
    pub(super) async fn wake_ready(&self, class: Class) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let began = Instant::now();
            let heads = self
                .store
                .heads(HeadFilter::Ready(class), after.as_ref(), WAKE_PAGE)
                .await?;
            let Some(last) = heads.last() else {
                return Ok(());
            };
            after = Some(last.lane.clone());
            self.lanes.wake_ready(class, &heads).await?;
            if !self.store.elect_sweeper(&self.id, ELECTION_TTL_MS).await? {
                return Ok(());
            }
            sleep(began.elapsed().min(PAUSE_MAX)).await;
        }
    }

    /// Ticks, many lanes at a time; whether each was acted on.
    async fn tick_all(&self, timers: Vec<Timer>, presence: Option<&LiveProcesses>) -> bool {
        stream::iter(timers)
            .map(|timer| self.tick(timer, presence.cloned()))
            .buffer_unordered(AT_ONCE)
            .fold(true, |all, done| std::future::ready(all && done))
            .await
    }

    async fn tick(&self, timer: Timer, presence: Option<LiveProcesses>) -> bool {
        let (job, at) = (timer.job, timer.at);
        let Err(error) = self
            .lanes
            .apply(LaneChange::tick(timer, presence), PATIENCE)
            .await
        else {
            return true;
        };
        let is_newer = matches!(error, LaneError::Store(StoreError::Newer(_)));
        if is_newer || error.refused() == Some(Refused::Gone) {
            // The job ended meanwhile and took its timer along, or only a sweeper of a newer release can act on the
            // timer. A timer that stays due must not keep the others from being seen.
            let delay_ms = if is_newer { GRACE_MS } else { REVISIT_MS };
            let to = self.store.now().plus_ms(delay_ms);
            if let Err(error) = self
                .store
                .move_timers(&[TimerMove { job, from: at, to }])
                .await
            {
                tracing::debug!(%error, job_id = %job, "a timer was not put off");
            }
            true
        } else {
            tracing::debug!(%error, job_id = %job, "a timer was not acted on");
            false
        }
    }

    /// Forgets what is over, and the sessions that are too many.
    pub(super) async fn forget(&self) -> Result<(), StoreError> {
        for _ in 0..PAGES_MAX {
            let mut gone = self.store.delete_expired(PAGE).await?;
            if let Some(sessions_max) = self.settings.sessions_max {
                gone = gone.max(self.store.evict_sessions(sessions_max, PAGE).await?);
            }
            // Less than a page of each: nothing is left.
            if gone < PAGE as u64 || !self.store.elect_sweeper(&self.id, ELECTION_TTL_MS).await? {
                break;
            }
        }
        Ok(())
    }
}
