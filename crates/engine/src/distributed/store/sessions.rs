//! Reads, deletes and evicts sessions.

use std::collections::BTreeMap;

use forebay_shared::{
    ids::{LaneKey, SessionId, TenantId},
    session::Session,
    store::{SessionRemoval, StoreError},
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::{Arguments, time_argument},
    keys::{self, partitions},
    load::read_turns,
    redis_error::UnexpectedReply,
    redis_reply::RedisReply,
    redis_store::RedisStore,
};
use crate::rejection::{OnStoreFull, broken_data};

/// An eviction deletes at most this many expired sessions before it chooses the sessions to evict.
const EXPIRED_MAX: usize = 10_000;

/// A session without live jobs. The fields are in this order, so that sessions are sorted by last use.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct IdleSession {
    used_at: TimeMs,
    partition: u8,
    name: String,
}

impl RedisStore {
    /// Reads a session and records the read as a use.
    pub(super) async fn read_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<Session>, StoreError> {
        let partition = partition_of(tenant, session);
        let name = keys::session_name(tenant, session);
        let now = self.clock.now();
        let expires_at = now.plus_ms(ttl_ms);
        let key = self.keys.session(partition, &name);
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(partition))
            .push(name)
            .push_time(now)
            .push_time(expires_at);
        let script = &self.scripts.read_and_renew_session;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry)
            .await?;
        let Some(reply) = reply.non_nil() else {
            return Ok(None);
        };
        let [created_at, updated_at, live_jobs, turns] = reply.parts()?;
        let live_jobs = usize::try_from(live_jobs.u64_or_zero()?).unwrap_or(usize::MAX);
        Ok(Some(Session {
            turns: read_turns(turns)?,
            created_at: TimeMs(created_at.u64_or_zero()?),
            updated_at: TimeMs(updated_at.u64_or_zero()?),
            expires_at: (live_jobs == 0).then_some(expires_at),
            live_jobs,
        }))
    }

    /// Deletes a session without live jobs.
    pub(super) async fn remove_idle_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        let partition = partition_of(tenant, session);
        let key = self.keys.sessions_by_use(partition);
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(partition))
            .push(keys::session_name(tenant, session));
        let script = &self.scripts.remove_sessions;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry)
            .await?;
        let [result] = reply.parts()?;
        match result.int()? {
            0 => Ok(SessionRemoval::NotFound),
            1 => Ok(SessionRemoval::Removed),
            2 => Ok(SessionRemoval::HasLiveJobs),
            _ => Err(broken_data(UnexpectedReply("remove_sessions"))),
        }
    }

    /// Deletes expired sessions and their entries in the indexes. Redis itself deletes expired records and idempotency
    /// keys.
    pub(super) async fn delete_expired_sessions(&self, limit: usize) -> Result<u64, StoreError> {
        let now = time_argument(self.clock.now());
        let counts = self.count_expired(&now).await?;
        let mut calls = Vec::new();
        let mut still_wanted = u64::try_from(limit).unwrap_or(u64::MAX);
        for (partition, count) in counts {
            let take = count.min(still_wanted);
            if take == 0 {
                continue;
            }
            still_wanted -= take;
            let mut args = Arguments::default();
            args.push(self.keys.partition_prefix(partition))
                .push(now.as_str())
                .push_int(take);
            calls.push((self.keys.sessions_by_expiry(partition), args));
        }
        if calls.is_empty() {
            return Ok(0);
        }
        let replies = self
            .connections
            .eval_each(&self.scripts.delete_expired, &calls)
            .await?;
        replies.into_iter().map(RedisReply::u64_or_zero).sum()
    }

    /// Deletes the least recently used sessions without live jobs, until at most `sessions_max` sessions are left or
    /// `limit` sessions are deleted.
    pub(super) async fn evict_least_recently_used(
        &self,
        sessions_max: u64,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let excess = self
            .sum_counts()
            .await?
            .sessions
            .saturating_sub(sessions_max);
        let excess = usize::try_from(excess).unwrap_or(usize::MAX).min(limit);
        if excess == 0 {
            return Ok(0);
        }
        // `excess` does not count expired sessions, but the index still contains them. They are deleted first, so that
        // all `excess` candidates are unexpired.
        self.delete_expired_sessions(EXPIRED_MAX).await?;
        let mut candidates = self.least_recently_used(excess).await?;
        candidates.sort_unstable();
        let mut by_partition: BTreeMap<u8, Vec<String>> = BTreeMap::new();
        for session in candidates.into_iter().take(excess) {
            let names = by_partition.entry(session.partition).or_default();
            names.push(session.name);
        }
        let calls: Vec<_> = by_partition
            .into_iter()
            .map(|(partition, names)| {
                let mut args = Arguments::default();
                args.push(self.keys.partition_prefix(partition));
                for name in names {
                    args.push(name);
                }
                (self.keys.sessions_by_use(partition), args)
            })
            .collect();
        let mut deleted = 0;
        for reply in self
            .connections
            .eval_each(&self.scripts.remove_sessions, &calls)
            .await?
        {
            for result in reply.list()? {
                deleted += u64::from(result.int()? == 1);
            }
        }
        Ok(deleted)
    }

    /// Returns the `limit` least recently used sessions of each partition. The `limit` least recently used sessions of
    /// all partitions are among them.
    async fn least_recently_used(&self, limit: usize) -> Result<Vec<IdleSession>, StoreError> {
        let reads = partitions().map(|partition| {
            let mut read = cmd("ZRANGE");
            read.arg(self.keys.sessions_by_use(partition))
                .arg(0)
                .arg(limit - 1)
                .arg("WITHSCORES");
            read
        });
        let replies = self
            .connections
            .run_each("ZRANGE of sessions by use", reads.collect())
            .await?;
        let mut found = Vec::new();
        for (partition, reply) in partitions().zip(replies) {
            let mut parts = reply.list()?;
            while let (Some(name), Some(used_at)) = (parts.next(), parts.next()) {
                found.push(IdleSession {
                    used_at: TimeMs(used_at.u64_or_zero()?),
                    partition,
                    name: name.text()?,
                });
            }
        }
        Ok(found)
    }

    /// Counts the expired sessions of each partition.
    async fn count_expired(&self, now: &str) -> Result<Vec<(u8, u64)>, StoreError> {
        let counts = partitions().map(|partition| {
            let mut count = cmd("ZCOUNT");
            count
                .arg(self.keys.sessions_by_expiry(partition))
                .arg("-inf")
                .arg(now);
            count
        });
        let replies = self
            .connections
            .run_each("ZCOUNT of sessions", counts.collect())
            .await?;
        let counts = partitions().zip(replies);
        counts
            .map(|(partition, count)| Ok((partition, count.u64_or_zero()?)))
            .collect()
    }
}

fn partition_of(tenant: &TenantId, session: &SessionId) -> u8 {
    let lane = LaneKey::Session {
        tenant: tenant.clone(),
        session: session.clone(),
    };
    lane.partition()
}
