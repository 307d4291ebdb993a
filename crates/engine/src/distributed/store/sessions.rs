//! Reads, deletes and evicts sessions.

use std::collections::BTreeMap;

use forebay_shared::{
    ids::{SessionId, TenantId},
    session::{SessionInfo, StoredTurn},
    store::{INLINE_BYTES_MAX, SessionRemoval, StoreError, TurnRange},
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::{Arguments, time_argument},
    earliest::TimedSets,
    keys::{self, partitions},
    redis_error::UnexpectedReply,
    redis_store::RedisStore,
    reply_part::ReplyPart,
    session_writes::read_settings,
    turn_numbers::TurnNumbers,
};
use crate::rejection::{OnStoreFull, broken_data};

/// An eviction deletes at most this many expired sessions before it chooses the sessions to evict.
const EXPIRED_MAX: usize = 10_000;

impl RedisStore {
    /// Reads a session, with its turns if they are small, and records the read as a use.
    pub(super) async fn read_session_info(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<SessionInfo>, StoreError> {
        let partition = keys::session_partition(tenant, session);
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
        let [
            created_at,
            updated_at,
            live_jobs,
            turn_count,
            bytes,
            first,
            gaps,
            turns,
            settings,
        ] = reply.parts()?;
        let turn_count = turn_count.u64_or_zero()?;
        let numbers = TurnNumbers::read(first, gaps)?;
        let turns = match turns.non_nil() {
            Some(turns) => Some(stored_turns(numbers.clone(), turns.list()?)?),
            None => None,
        };
        let settings = match settings.non_nil() {
            Some(settings) => Some(read_settings(settings.parts()?)?),
            None => None,
        };
        let live_jobs = usize::try_from(live_jobs.u64_or_zero()?).unwrap_or(usize::MAX);
        Ok(Some(SessionInfo {
            turn_count,
            first_turn: numbers.at(0),
            next_turn: numbers.after(turn_count),
            turns_bytes: bytes.u64_or_zero()?,
            turns,
            settings,
            created_at: TimeMs(created_at.u64_or_zero()?),
            updated_at: TimeMs(updated_at.u64_or_zero()?),
            expires_at: (live_jobs == 0).then_some(expires_at),
            live_jobs,
        }))
    }

    /// Reads turns of a session.
    pub(super) async fn read_turns(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        range: TurnRange,
    ) -> Result<Vec<StoredTurn>, StoreError> {
        let partition = keys::session_partition(tenant, session);
        let name = keys::session_name(tenant, session);
        let key = self.keys.session(partition, &name);
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(partition))
            .push(name)
            .push_text(range.from)
            .push_text(range.turns_max)
            .push_text(range.bytes_max);
        let script = &self.scripts.session_turns;
        let reply = if range.bytes_max > INLINE_BYTES_MAX {
            self.connections
                .eval_for_large_reply(script, &key, &args)
                .await
        } else {
            self.connections
                .eval(script, &key, &args, OnStoreFull::Retry)
                .await
        };
        let mut parts = reply?.list()?;
        let (Some(first), Some(gaps)) = (parts.next(), parts.next()) else {
            return Err(broken_data(UnexpectedReply("session_turns")));
        };
        stored_turns(TurnNumbers::read(first, gaps)?, parts)
    }

    /// Deletes a session without live jobs.
    pub(super) async fn remove_idle_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        let partition = keys::session_partition(tenant, session);
        let key = self.keys.sessions_by_use(partition);
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(partition))
            .push_time(self.clock.now())
            .push(keys::session_name(tenant, session))
            .push("");
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
                .push_text(take);
            calls.push(([self.keys.sessions_by_expiry(partition)], args));
        }
        if calls.is_empty() {
            return Ok(0);
        }
        let replies = self
            .connections
            .eval_each(&self.scripts.delete_expired, &calls)
            .await?;
        replies.into_iter().map(ReplyPart::u64_or_zero).sum()
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
        // `excess` does not count expired sessions, but the index still contains them. They are deleted first, so that they do not
        // take the positions of the sessions to evict.
        self.delete_expired_sessions(EXPIRED_MAX).await?;
        let by_use = TimedSets {
            command_name: "ZRANGE of sessions by use",
            key: |partition| self.keys.sessions_by_use(partition),
            until: String::from("+inf"),
        };
        let mut by_partition: BTreeMap<u8, Vec<(String, TimeMs)>> = BTreeMap::new();
        for session in self.find_earliest(&by_use, excess).await? {
            let names = by_partition.entry(session.partition).or_default();
            names.push((session.member, session.at));
        }
        let now = self.clock.now();
        let calls: Vec<_> = by_partition
            .into_iter()
            .map(|(partition, names)| {
                let mut args = Arguments::default();
                args.push(self.keys.partition_prefix(partition))
                    .push_time(now);
                for (name, used_at) in names {
                    args.push(name).push_time(used_at);
                }
                ([self.keys.sessions_by_use(partition)], args)
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

/// The turns of a reply with their numbers.
fn stored_turns(
    numbers: TurnNumbers,
    turns: impl Iterator<Item = ReplyPart>,
) -> Result<Vec<StoredTurn>, StoreError> {
    let turns = numbers.zip(turns);
    turns
        .map(|(number, turn)| {
            Ok(StoredTurn {
                number,
                json: turn.bytes()?,
            })
        })
        .collect()
}
