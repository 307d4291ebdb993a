//! Refills a queue that was full: wakes the ready heads that have no wake, when at least half of the queue is free.
//!
//! The store returns heads in the order of their admission. So the oldest heads get their wakes first, whatever comes meanwhile.

use forebay_shared::{
    class::Class,
    store::{HeadFilter, StoreError},
};
use tokio::time::{Instant, sleep};

use super::passes::{PAUSE_MAX, Sweeper, WAKE_PAGE};

impl Sweeper {
    /// Wakes the oldest ready heads of a class that have no wake, if there may be such heads and at least half of the queue is
    /// free.
    pub(super) async fn refill(&self, class: Class) -> Result<(), StoreError> {
        let has_surplus = self.wakes.has_surplus(class);
        let Some(space) = self.queue.space(class).filter(|_| has_surplus) else {
            return Ok(());
        };
        if space.waiting > space.free {
            return Ok(());
        }
        // During the pass, all wakes are published. So a head that becomes ready meanwhile gets its wake.
        self.wakes.clear_surplus(class);
        let is_complete = self.wake_unwoken(class, space.free).await;
        if !matches!(is_complete, Ok(true)) {
            self.wakes.record_surplus(class);
        }
        is_complete.map(drop)
    }

    /// Wakes at most `limit` ready heads that have no wake, the oldest first. Returns whether all ready heads have wakes now.
    async fn wake_unwoken(&self, class: Class, mut limit: usize) -> Result<bool, StoreError> {
        let mut after = None;
        loop {
            let began = Instant::now();
            let filter = HeadFilter::Ready(class);
            let mut page = self.store.heads(filter, after.as_ref(), WAKE_PAGE).await?;
            after = page.heads.last().cloned();
            page.heads
                .retain(|head| !self.queue.has_wake(class, head.job));
            let is_limit_reached = page.heads.len() >= limit;
            page.heads.truncate(limit);
            self.lanes.refill(class, &page.heads);
            limit -= page.heads.len();
            if is_limit_reached || self.wakes.has_surplus(class) {
                return Ok(false);
            }
            if page.is_last {
                return Ok(true);
            }
            if !self.extend_term().await? {
                return Ok(false);
            }
            sleep(began.elapsed().min(PAUSE_MAX)).await;
        }
    }
}
