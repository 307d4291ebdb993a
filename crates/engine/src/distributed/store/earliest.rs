//! Finds the members with the lowest times in one sorted set of each partition.

use std::collections::BTreeSet;

use forebay_shared::{store::StoreError, time::TimeMs};
use redis::cmd;

use super::{keys::partitions, redis_store::RedisStore};

/// The first query asks each partition for at least this many members, but never for more than the limit.
const PER_PARTITION_MIN: usize = 8;

/// A member of a sorted set whose scores are times. The fields are in this order, so that members are sorted by time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimedMember {
    pub(super) at: TimeMs,
    pub(super) member: String,
    pub(super) partition: u8,
}

/// The sorted sets to search.
pub(super) struct TimedSets<K> {
    /// The name of the command, for error messages.
    pub(super) command_name: &'static str,
    /// The key of the set of a partition.
    pub(super) key: K,
    /// The latest time of the members, as an argument of `ZRANGE`.
    pub(super) until: String,
}

impl RedisStore {
    /// Returns the members with the lowest times, earliest first.
    ///
    /// The first query asks each partition for twice `limit / 256` members ([`PER_PARTITION_MIN`] if that is less), but never for
    /// more than `limit`.
    ///
    /// A partition that returns as many members as it was asked for may have more. It is queried again, for four times as
    /// many, in two cases:
    /// - all partitions together have returned fewer than `limit` members;
    /// - its last returned member is not later than member number `limit` of all members found, so its next members may
    ///   belong to the result.
    ///
    /// Small queries bound the size of the replies when the sets are large, for example after an outage.
    pub(super) async fn find_earliest<K: Fn(u8) -> String>(
        &self,
        sets: &TimedSets<K>,
        limit: usize,
    ) -> Result<Vec<TimedMember>, StoreError> {
        let mut all: BTreeSet<TimedMember> = BTreeSet::new();
        let mut to_query: Vec<u8> = partitions().collect();
        let mut per_partition = (limit / to_query.len() * 2).max(PER_PARTITION_MIN);
        while !to_query.is_empty() {
            // The partitions that may have more members, each with the time of the last member found.
            let mut may_have_more = Vec::new();
            for (partition, found) in self
                .find_earliest_in(sets, &to_query, per_partition.min(limit))
                .await?
            {
                if found.len() >= per_partition && per_partition < limit {
                    may_have_more.extend(found.last().map(|last| (partition, last.at)));
                }
                all.extend(found);
            }
            // The time of member number `limit`, if at least that many were found.
            let last_needed_at = all
                .iter()
                .nth(limit.saturating_sub(1))
                .map(|member| member.at);
            may_have_more
                .retain(|(_, last_found_at)| last_needed_at.is_none_or(|at| *last_found_at <= at));
            to_query = may_have_more
                .into_iter()
                .map(|(partition, _)| partition)
                .collect();
            per_partition = per_partition.saturating_mul(4);
        }
        Ok(all.into_iter().take(limit).collect())
    }

    /// Returns the earliest members of the set of each of these partitions, at most `limit` from each.
    async fn find_earliest_in<K: Fn(u8) -> String>(
        &self,
        sets: &TimedSets<K>,
        partitions: &[u8],
        limit: usize,
    ) -> Result<Vec<(u8, Vec<TimedMember>)>, StoreError> {
        let reads = partitions.iter().map(|partition| {
            let mut read = cmd("ZRANGE");
            read.arg((sets.key)(*partition))
                .arg("-inf")
                .arg(&sets.until)
                .arg(&["BYSCORE", "LIMIT", "0"])
                .arg(limit)
                .arg("WITHSCORES");
            read
        });
        let replies = self
            .connections
            .run_each(sets.command_name, reads.collect())
            .await?;
        let mut all = Vec::with_capacity(partitions.len());
        for (partition, reply) in partitions.iter().zip(replies) {
            let mut parts = reply.list()?;
            let mut found = Vec::new();
            while let (Some(member), Some(at)) = (parts.next(), parts.next()) {
                found.push(TimedMember {
                    at: TimeMs(at.u64_or_zero()?),
                    member: member.text()?,
                    partition: *partition,
                });
            }
            all.push((*partition, found));
        }
        Ok(all)
    }
}
