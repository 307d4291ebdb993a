//! Refills a queue that was full: wakes the ready heads that have no wake, when at least half of the queue is free.
//!
//! The pass over the ready heads stops when the queue is full again, and the next pass continues there. So each head gets its
//! turn, whatever comes meanwhile.

use forebay_shared::{
    class::Class,
    store::{Head, HeadFilter, StoreError},
};
use tokio::time::{Instant, sleep};

use super::passes::{PAUSE_MAX, Sweeper, WAKE_PAGE};

impl Sweeper {
    /// Wakes ready heads of a class that have no wake, if there may be such heads and at least half of the queue is free.
    /// `after` is the head after which the pass begins.
    pub(super) async fn refill(
        &self,
        class: Class,
        after: &mut Option<Head>,
    ) -> Result<(), StoreError> {
        let has_surplus = self.wakes.has_surplus(class);
        let Some(space) = self.queue.space(class).filter(|_| has_surplus) else {
            return Ok(());
        };
        if space.waiting > space.free {
            return Ok(());
        }
        // First, wakes are published again. So a head that becomes ready during the pass gets its wake.
        self.wakes.clear_surplus(class);
        let begins_with_first = after.is_none();
        let is_complete = self.wake_without_wake(class, after, space.free).await;
        if !matches!(is_complete, Ok(true)) || !begins_with_first {
            self.wakes.record_surplus(class);
        }
        is_complete.map(drop)
    }

    /// Wakes at most `limit` ready heads that have no wake. Returns whether all heads after `after` have wakes now.
    async fn wake_without_wake(
        &self,
        class: Class,
        after: &mut Option<Head>,
        mut limit: usize,
    ) -> Result<bool, StoreError> {
        loop {
            let began = Instant::now();
            let filter = HeadFilter::Ready(class);
            let mut heads = self.store.heads(filter, after.as_ref(), WAKE_PAGE).await?;
            let Some(last) = heads.last().cloned() else {
                *after = None;
                return Ok(true);
            };
            heads.retain(|head| !self.queue.has_wake(class, head.job));
            let is_limit_reached = heads.len() >= limit;
            heads.truncate(limit);
            self.lanes.refill(class, &heads);
            *after = match heads.last() {
                Some(last) if is_limit_reached => Some(last.clone()),
                _ => Some(last),
            };
            limit -= heads.len();
            if is_limit_reached || self.wakes.has_surplus(class) || !self.extend_term().await? {
                return Ok(false);
            }
            sleep(began.elapsed().min(PAUSE_MAX)).await;
        }
    }
}
