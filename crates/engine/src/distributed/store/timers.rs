//! Reads and moves timers, over all partitions.

use std::collections::{BTreeMap, BTreeSet};

use forebay_shared::{
    ids::{JobId, LaneKey},
    store::{StoreError, Timer, TimerMove},
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::{Arguments, ms},
    keys::partitions,
    redis_store::RedisStore,
};
use crate::rejection::unreadable;

/// Each partition is first queried for at least this many timers.
const SHARE_MIN: usize = 8;

/// A due timer whose lane is not known yet. The order is by time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct TimerWithoutLane {
    at: TimeMs,
    job: JobId,
}

impl RedisStore {
    /// The timers that are due, earliest first.
    ///
    /// Each partition is first queried for twice its share of `limit`. A partition is queried again, for more, only if more of
    /// its timers may be among the earliest. This bounds the replies when many timers are due, for example after an outage.
    pub(super) async fn find_due_timers(
        &self,
        now: TimeMs,
        limit: usize,
    ) -> Result<Vec<Timer>, StoreError> {
        let mut due: BTreeSet<TimerWithoutLane> = BTreeSet::new();
        let mut queried: Vec<u8> = partitions().collect();
        let mut share = (limit / queried.len() * 2).max(SHARE_MIN);
        while !queried.is_empty() {
            let mut unfinished = Vec::new();
            for (partition, found) in self.due_of(&queried, now, share.min(limit)).await? {
                if found.len() >= share && share < limit {
                    unfinished.extend(found.last().map(|last| (partition, last.at)));
                }
                due.extend(found);
            }
            let cut = due
                .iter()
                .nth(limit.saturating_sub(1))
                .map(|timer| timer.at);
            unfinished.retain(|(_, last)| cut.is_none_or(|cut| *last <= cut));
            queried = unfinished
                .into_iter()
                .map(|(partition, _)| partition)
                .collect();
            share = share.saturating_mul(4);
        }
        self.with_lanes(due.into_iter().take(limit).collect()).await
    }

    /// The earliest `limit` due timers of each of these partitions.
    async fn due_of(
        &self,
        partitions: &[u8],
        now: TimeMs,
        limit: usize,
    ) -> Result<Vec<(u8, Vec<TimerWithoutLane>)>, StoreError> {
        let reads = partitions.iter().map(|partition| {
            let mut read = cmd("ZRANGE");
            read.arg(self.keys.timers(*partition))
                .arg("-inf")
                .arg(ms(now))
                .arg(&["BYSCORE", "LIMIT", "0"])
                .arg(limit)
                .arg("WITHSCORES");
            read
        });
        let replies = self
            .connections
            .run_each("ZRANGE of timers", reads.collect())
            .await?;
        let mut found = Vec::with_capacity(partitions.len());
        for (partition, reply) in partitions.iter().zip(replies) {
            let mut parts = reply.list()?;
            let mut timers = Vec::new();
            while let (Some(job), Some(at)) = (parts.next(), parts.next()) {
                timers.push(TimerWithoutLane {
                    at: TimeMs(at.natural()?),
                    job: JobId::parse(&job.text()?).map_err(unreadable)?,
                });
            }
            found.push((*partition, timers));
        }
        Ok(found)
    }

    /// Adds the lane of each job. This takes another round trip, but only when timers are due.
    async fn with_lanes(&self, due: Vec<TimerWithoutLane>) -> Result<Vec<Timer>, StoreError> {
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let reads = due.iter().map(|timer| {
            let mut read = cmd("HGET");
            read.arg(self.keys.job(timer.job)).arg("lane");
            read
        });
        let lanes = self
            .connections
            .run_each("HGET of a job's lane", reads.collect())
            .await?;
        let mut timers = Vec::with_capacity(due.len());
        for (TimerWithoutLane { at, job }, lane) in due.into_iter().zip(lanes) {
            // The record may have expired between the two round trips.
            let Some(lane) = lane.non_nil() else { continue };
            timers.push(Timer {
                job,
                lane: LaneKey::parse(&lane.text()?).map_err(unreadable)?,
                at,
            });
        }
        Ok(timers)
    }

    /// Moves each timer that is still at `from`, in one round trip. Returns which ones it moved.
    pub(super) async fn move_each_timer(
        &self,
        moves: &[TimerMove],
    ) -> Result<Vec<bool>, StoreError> {
        let mut by_partition: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (n, timer) in moves.iter().enumerate() {
            by_partition
                .entry(timer.job.partition())
                .or_default()
                .push(n);
        }
        let calls: Vec<_> = by_partition
            .iter()
            .map(|(partition, positions)| {
                let mut args = Arguments::default();
                for timer in positions.iter().map(|n| &moves[*n]) {
                    args.push(timer.job.to_string()).at(timer.from).at(timer.to);
                }
                (self.keys.timers(*partition), args)
            })
            .collect();
        let mut moved = vec![false; moves.len()];
        let replies = self
            .connections
            .eval_each(&self.scripts.move_timers, &calls)
            .await?;
        for (positions, reply) in by_partition.values().zip(replies) {
            for (n, result) in positions.iter().zip(reply.list()?) {
                moved[*n] = result.int()? == 1;
            }
        }
        Ok(moved)
    }
}
