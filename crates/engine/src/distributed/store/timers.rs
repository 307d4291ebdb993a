//! Timers, over all partitions.

use std::collections::{BTreeMap, BTreeSet};

use forebay_shared::{
    ids::{JobId, LaneKey},
    store::{StoreError, Timer, TimerMove},
    time::TimeMs,
};
use redis::cmd;

use super::{
    RedisStore,
    arguments::{Arguments, ms},
    failure::unreadable,
    keys::partitions,
};

/// The fewest timers that a partition is asked for at first.
const SHARE_MIN: usize = 8;

impl RedisStore {
    /// Those that are due, the earliest first.
    ///
    /// Each partition is asked for its share with something over, and asked again only if more of it may
    /// be among the earliest: after an outage all of a backlog is due.
    pub(super) async fn due_timers(
        &self,
        now: TimeMs,
        limit: usize,
    ) -> Result<Vec<Timer>, StoreError> {
        let mut due: BTreeSet<(u64, JobId)> = BTreeSet::new();
        let mut asked: Vec<u8> = partitions().collect();
        let mut share = (limit / asked.len() * 2).max(SHARE_MIN);
        while !asked.is_empty() {
            let mut more = Vec::new();
            for (partition, found) in self.due_of(&asked, now, share.min(limit)).await? {
                if found.len() >= share && share < limit {
                    more.extend(found.last().map(|(at, _)| (partition, *at)));
                }
                due.extend(found);
            }
            let cut = due.iter().nth(limit.saturating_sub(1)).map(|(at, _)| *at);
            more.retain(|(_, last)| cut.is_none_or(|cut| *last <= cut));
            asked = more.into_iter().map(|(partition, _)| partition).collect();
            share = share.saturating_mul(4);
        }
        self.with_lanes(due.into_iter().take(limit).collect()).await
    }

    /// The earliest `limit` of each of these partitions.
    async fn due_of(
        &self,
        partitions: &[u8],
        now: TimeMs,
        limit: usize,
    ) -> Result<Vec<(u8, Vec<(u64, JobId)>)>, StoreError> {
        let reads = partitions.iter().map(|partition| {
            let mut read = cmd("ZRANGE");
            read.arg(format!("{}t", self.keys.partition(*partition)))
                .arg("-inf")
                .arg(ms(now))
                .arg(&["BYSCORE", "LIMIT", "0"])
                .arg(limit)
                .arg("WITHSCORES");
            read
        });
        let replies = self.link.run_each("timers", reads.collect()).await?;
        let mut found = Vec::with_capacity(partitions.len());
        for (partition, reply) in partitions.iter().zip(replies) {
            let mut parts = reply.list()?;
            let mut timers = Vec::new();
            while let (Some(job), Some(at)) = (parts.next(), parts.next()) {
                let job = JobId::parse(&job.text()?).map_err(unreadable)?;
                timers.push((at.natural()?, job));
            }
            found.push((*partition, timers));
        }
        Ok(found)
    }

    /// Brings the lane of each job. One more trip, but only when something is due.
    async fn with_lanes(&self, due: Vec<(u64, JobId)>) -> Result<Vec<Timer>, StoreError> {
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let reads = due.iter().map(|(_, job)| {
            let mut read = cmd("HGET");
            read.arg(self.keys.job(*job)).arg("lane");
            read
        });
        let lanes = self.link.run_each("lane of a job", reads.collect()).await?;
        let mut timers = Vec::with_capacity(due.len());
        for ((at, job), lane) in due.into_iter().zip(lanes) {
            // Ended and forgotten between the two trips.
            let Some(lane) = lane.some() else { continue };
            timers.push(Timer {
                job,
                lane: LaneKey::parse(&lane.text()?).map_err(unreadable)?,
                at: TimeMs(at),
            });
        }
        Ok(timers)
    }

    /// Moves each timer that is still the one that was read, in one trip.
    pub(super) async fn shift_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        let mut by_partition: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (n, timer) in moves.iter().enumerate() {
            by_partition
                .entry(timer.job.partition())
                .or_default()
                .push(n);
        }
        let calls: Vec<_> = by_partition
            .iter()
            .map(|(partition, places)| {
                let mut args = Arguments::default();
                for timer in places.iter().map(|n| &moves[*n]) {
                    args.push(timer.job.to_string()).at(timer.from).at(timer.to);
                }
                (format!("{}t", self.keys.partition(*partition)), args)
            })
            .collect();
        let mut moved = vec![false; moves.len()];
        let replies = self.link.eval_each(&self.scripts.shift, &calls).await?;
        for (places, reply) in by_partition.values().zip(replies) {
            for (n, said) in places.iter().zip(reply.list()?) {
                moved[*n] = said.int()? == 1;
            }
        }
        Ok(moved)
    }
}
