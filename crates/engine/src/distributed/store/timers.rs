//! Reads and moves timers, over all partitions.

use std::collections::{BTreeMap, BTreeSet};

use forebay_shared::{
    ids::{JobId, LaneKey},
    store::{StoreError, Timer, TimerMove},
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::{Arguments, time_argument},
    keys::partitions,
    redis_store::RedisStore,
};
use crate::rejection::broken_data;

/// The first query asks each partition for at least this many timers.
const PER_PARTITION_MIN: usize = 8;

/// A due timer whose lane is not known yet. The fields are in this order, so that timers are sorted by time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct TimerWithoutLane {
    at: TimeMs,
    job: JobId,
}

impl RedisStore {
    /// Returns the timers that are due, earliest first.
    ///
    /// The first query asks each partition for twice `limit / 256` timers, and for at least [`PER_PARTITION_MIN`].
    ///
    /// A partition that returns as many timers as it was asked for may have more. It is queried again, for four times as
    /// many, in two cases:
    /// - all partitions together have returned fewer than `limit` timers;
    /// - its last returned timer is not later than timer number `limit` of all timers found, so its next timers may belong
    ///   to the result.
    ///
    /// Small queries bound the size of the replies when many timers are due, for example after an outage.
    pub(super) async fn find_due_timers(
        &self,
        now: TimeMs,
        limit: usize,
    ) -> Result<Vec<Timer>, StoreError> {
        let mut due: BTreeSet<TimerWithoutLane> = BTreeSet::new();
        let mut to_query: Vec<u8> = partitions().collect();
        let mut per_partition = (limit / to_query.len() * 2).max(PER_PARTITION_MIN);
        while !to_query.is_empty() {
            // The partitions that may have more due timers, each with the time of the last timer found.
            let mut may_have_more = Vec::new();
            for (partition, found) in self
                .find_due_in(&to_query, now, per_partition.min(limit))
                .await?
            {
                if found.len() >= per_partition && per_partition < limit {
                    may_have_more.extend(found.last().map(|last| (partition, last.at)));
                }
                due.extend(found);
            }
            // The time of timer number `limit`, if so many timers were found.
            let last_needed_at = due
                .iter()
                .nth(limit.saturating_sub(1))
                .map(|timer| timer.at);
            may_have_more
                .retain(|(_, last_found_at)| last_needed_at.is_none_or(|at| *last_found_at <= at));
            to_query = may_have_more
                .into_iter()
                .map(|(partition, _)| partition)
                .collect();
            per_partition = per_partition.saturating_mul(4);
        }
        self.with_lanes(due.into_iter().take(limit).collect()).await
    }

    /// Returns the earliest due timers of each of these partitions, at most `limit` from each.
    async fn find_due_in(
        &self,
        partitions: &[u8],
        now: TimeMs,
        limit: usize,
    ) -> Result<Vec<(u8, Vec<TimerWithoutLane>)>, StoreError> {
        let reads = partitions.iter().map(|partition| {
            let mut read = cmd("ZRANGE");
            read.arg(self.keys.timers(*partition))
                .arg("-inf")
                .arg(time_argument(now))
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
                    at: TimeMs(at.u64_or_zero()?),
                    job: JobId::parse(&job.text()?).map_err(broken_data)?,
                });
            }
            found.push((*partition, timers));
        }
        Ok(found)
    }

    /// Adds the lane of each timer's job. This takes another round trip, but only when timers are due.
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
                lane: LaneKey::parse(&lane.text()?).map_err(broken_data)?,
                at,
            });
        }
        Ok(timers)
    }

    /// Moves each timer whose time still is `from`, in one round trip. Returns for each timer whether it was moved.
    pub(super) async fn move_each_timer(
        &self,
        moves: &[TimerMove],
    ) -> Result<Vec<bool>, StoreError> {
        // For each partition, the positions of its timers in the slice `moves`.
        let mut by_partition: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (position, timer) in moves.iter().enumerate() {
            by_partition
                .entry(timer.job.partition())
                .or_default()
                .push(position);
        }
        let calls: Vec<_> = by_partition
            .iter()
            .map(|(partition, positions)| {
                let mut args = Arguments::default();
                for timer in positions.iter().map(|position| &moves[*position]) {
                    args.push(timer.job.to_string())
                        .push_time(timer.from)
                        .push_time(timer.to);
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
            for (position, result) in positions.iter().zip(reply.list()?) {
                moved[*position] = result.int()? == 1;
            }
        }
        Ok(moved)
    }
}
