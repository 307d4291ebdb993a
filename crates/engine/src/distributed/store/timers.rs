//! Reads and moves timers, over all partitions.

use std::collections::BTreeMap;

use forebay_shared::{
    ids::{JobId, LaneKey},
    store::{StoreError, Timer, TimerMove},
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::{Arguments, time_argument},
    earliest::{TimedMember, TimedSets},
    redis_store::RedisStore,
};
use crate::rejection::broken_data;

/// A due timer whose lane is not known yet.
struct TimerWithoutLane {
    at: TimeMs,
    job: JobId,
}

impl RedisStore {
    /// Returns the timers that are due, earliest first.
    pub(super) async fn find_due_timers(
        &self,
        now: TimeMs,
        limit: usize,
    ) -> Result<Vec<Timer>, StoreError> {
        let sets = TimedSets {
            name: "ZRANGE of timers",
            key: |partition| self.keys.timers(partition),
            until: time_argument(now),
        };
        let found = self.find_earliest(&sets, limit).await?;
        let due = found.into_iter().map(|TimedMember { at, member }| {
            let job = JobId::parse(&member).map_err(broken_data)?;
            Ok(TimerWithoutLane { at, job })
        });
        self.with_lanes(due.collect::<Result<_, StoreError>>()?)
            .await
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
