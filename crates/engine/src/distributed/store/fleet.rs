//! Presence, the clock, and the election of the sweeper.

use std::{sync::Arc, time::Instant};

use forebay_shared::{ids::ProcessId, lane::LiveProcesses, store::StoreError, time::TimeMs};
use redis::cmd;

use super::{
    RedisStore, arguments::Arguments, redis_error::UnexpectedReply, redis_reply::RedisReply,
};
use crate::rejection::{OnStoreFull, broken_data};

/// The presence of a process is deleted when it is older than `presence_ttl_ms` times this factor, so that the list does
/// not grow.
const DELETE_AFTER_TTLS: u64 = 10;
/// The shortest age, in milliseconds, at which the presence of a process is deleted.
const DELETE_AFTER_MIN_MS: u64 = 60_000;

impl RedisStore {
    /// Renews the presence of a process, corrects the clock, and reads which processes are alive. Reads the use of memory
    /// at the same time.
    pub(super) async fn renew_presence(
        &self,
        me: &ProcessId,
        presence_ttl_ms: u64,
    ) -> Result<LiveProcesses, StoreError> {
        let now_before = self.clock.now();
        let delete_after_ms = presence_ttl_ms
            .saturating_mul(DELETE_AFTER_TTLS)
            .max(DELETE_AFTER_MIN_MS);
        let mut args = Arguments::default();
        args.push(me.as_str())
            .push_int(presence_ttl_ms)
            .push_int(delete_after_ms);
        let key = self.keys.presence();
        let (reply, ()) = tokio::join!(
            self.connections.eval(
                &self.scripts.renew_presence,
                &key,
                &args,
                OnStoreFull::Retry
            ),
            self.update_memory(),
        );
        let received = Instant::now();
        let [time, alive] = reply?.parts()?;
        let time = TimeMs(time.u64_or_zero()?);
        self.clock.correct(received, time);
        let alive = alive
            .list()?
            .map(|process| ProcessId::parse(&process.text()?).map_err(broken_data));
        Ok(LiveProcesses {
            // `self.clock` may be slightly ahead of Redis. So `read_at` is at least the time of `self.clock` before the call.
            read_at: time.max(now_before),
            alive: Arc::new(alive.collect::<Result<_, _>>()?),
        })
    }

    async fn update_memory(&self) {
        let mut info = cmd("INFO");
        info.arg("memory");
        if let Ok(reply) = self.connections.run_on_all_nodes(&info).await {
            self.memory.update(&reply);
        }
    }

    /// Sets the clock before the first renewal of the presence.
    pub(super) async fn set_clock(&self) -> Result<(), StoreError> {
        let time = self
            .connections
            .run(&cmd("TIME"), OnStoreFull::Retry)
            .await?;
        let received = Instant::now();
        let [seconds, micros] = RedisReply::new("TIME", time).parts()?;
        let ms = seconds.u64_or_zero()?.saturating_mul(1_000) + micros.u64_or_zero()? / 1_000;
        self.clock.correct(received, TimeMs(ms));
        Ok(())
    }

    /// Deletes the presence of a process.
    pub(super) async fn end_presence(&self, me: &ProcessId) -> Result<(), StoreError> {
        let mut remove = cmd("ZREM");
        remove.arg(self.keys.presence()).arg(me.as_str());
        self.connections
            .run(&remove, OnStoreFull::Retry)
            .await
            .map(drop)
    }

    /// Elects a process as sweeper, or extends its term. Returns whether the process is elected.
    pub(super) async fn elect_sweeper(
        &self,
        me: &ProcessId,
        ttl_ms: u64,
    ) -> Result<bool, StoreError> {
        let mut args = Arguments::default();
        args.push(me.as_str()).push_int(ttl_ms.max(1));
        let key = self.keys.sweeper();
        let reply =
            self.connections
                .eval(&self.scripts.elect_sweeper, &key, &args, OnStoreFull::Retry);
        match reply.await?.int()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(broken_data(UnexpectedReply("elect_sweeper"))),
        }
    }

    /// Ends the term of a process, if it is the elected sweeper.
    pub(super) async fn end_term(&self, me: &ProcessId) -> Result<(), StoreError> {
        let mut args = Arguments::default();
        args.push(me.as_str());
        let key = self.keys.sweeper();
        let reply = self
            .connections
            .eval(&self.scripts.end_term, &key, &args, OnStoreFull::Retry);
        reply.await.map(drop)
    }
}
