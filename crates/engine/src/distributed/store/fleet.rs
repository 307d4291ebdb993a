//! Presence, the clock, and the election of the sweeper.

use std::{sync::Arc, time::Instant};

use forebay_shared::{ids::ProcessId, lane::LiveProcesses, store::StoreError, time::TimeMs};
use redis::cmd;

use super::{
    RedisStore, arguments::Arguments, redis_error::UnexpectedReply, redis_reply::RedisReply,
};
use crate::rejection::{OnStoreFull, unreadable};

/// A process's entry is deleted when it is older than this many presence times, so that the list does not grow.
const TTL_PRESENCE_TIMES: u64 = 10;
/// The shortest age, in milliseconds, at which an entry is deleted.
const TTL_MIN_MS: u64 = 60_000;

impl RedisStore {
    /// Announces a process, sets the clock, and reads the processes that are alive and the use of memory, in one
    /// round trip.
    pub(super) async fn renew_presence(
        &self,
        me: &ProcessId,
        presence_ms: u64,
    ) -> Result<LiveProcesses, StoreError> {
        let before = self.clock.now();
        let ttl_ms = presence_ms
            .saturating_mul(TTL_PRESENCE_TIMES)
            .max(TTL_MIN_MS);
        let mut args = Arguments::default();
        args.push(me.as_str()).int(presence_ms).int(ttl_ms);
        let key = self.keys.presence();
        let (reply, ()) = tokio::join!(
            self.connections
                .eval(&self.scripts.announce, &key, &args, OnStoreFull::Retry),
            self.update_memory(),
        );
        let received = Instant::now();
        let [time, alive] = reply?.parts()?;
        let time = TimeMs(time.natural()?);
        self.clock.correct(received, time);
        let alive = alive
            .list()?
            .map(|process| ProcessId::parse(&process.text()?).map_err(unreadable));
        Ok(LiveProcesses {
            at: time.max(before),
            alive: Arc::new(alive.collect::<Result<_, _>>()?),
        })
    }

    async fn update_memory(&self) {
        let mut info = cmd("INFO");
        info.arg("memory");
        if let Ok(answer) = self.connections.run_on_all_nodes(&info).await {
            self.memory.update(&answer);
        }
    }

    /// Sets the clock before the first announcement.
    pub(super) async fn set_clock(&self) -> Result<(), StoreError> {
        let time = self
            .connections
            .run(&cmd("TIME"), OnStoreFull::Retry)
            .await?;
        let received = Instant::now();
        let [seconds, micros] = RedisReply::new("TIME", time).parts()?;
        let ms = seconds.natural()?.saturating_mul(1_000) + micros.natural()? / 1_000;
        self.clock.correct(received, TimeMs(ms));
        Ok(())
    }

    /// Deletes the announcement of a process.
    pub(super) async fn end_presence(&self, me: &ProcessId) -> Result<(), StoreError> {
        let mut remove = cmd("ZREM");
        remove.arg(self.keys.presence()).arg(me.as_str());
        self.connections
            .run(&remove, OnStoreFull::Retry)
            .await
            .map(drop)
    }

    /// Elects a process, or renews its election. Returns whether it is elected.
    pub(super) async fn elect_or_renew(
        &self,
        me: &ProcessId,
        ttl_ms: u64,
    ) -> Result<bool, StoreError> {
        let mut args = Arguments::default();
        args.push(me.as_str()).int(ttl_ms.max(1));
        let key = self.keys.sweeper();
        let reply = self
            .connections
            .eval(&self.scripts.elect, &key, &args, OnStoreFull::Retry);
        match reply.await?.int()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(unreadable(UnexpectedReply("elect"))),
        }
    }

    /// Ends the election of a process, if it is elected.
    pub(super) async fn end_election(&self, me: &ProcessId) -> Result<(), StoreError> {
        let mut args = Arguments::default();
        args.push(me.as_str());
        let key = self.keys.sweeper();
        let reply = self
            .connections
            .eval(&self.scripts.step_down, &key, &args, OnStoreFull::Retry);
        reply.await.map(drop)
    }
}
