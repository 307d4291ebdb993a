//! Presence, the clock, and the election of the sweeper.

use std::sync::Arc;

use forebay_shared::{ids::ProcessId, lane::LiveProcesses, store::StoreError, time::TimeMs};
use redis::cmd;

use super::{
    RedisStore, arguments::Arguments, redis_error::UnexpectedReply, reply_part::ReplyPart,
};
use crate::{
    clock_state::{ClockState, MachineTime},
    rejection::{OnStoreFull, broken_data},
};

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
        let sent_ms = MachineTime::monotonic_ms();
        let delete_after_ms = presence_ttl_ms
            .saturating_mul(DELETE_AFTER_TTLS)
            .max(DELETE_AFTER_MIN_MS);
        let mut args = Arguments::default();
        args.push(me.as_str())
            .push_text(presence_ttl_ms)
            .push_text(delete_after_ms)
            .push(self.keys.clock())
            .push_optional_time(self.clock.expected())
            .push_text(usize::from(self.connections.is_one_server()));
        let key = self.keys.presence();
        let script = &self.scripts.renew_presence;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry)
            .await?;
        let received_ms = MachineTime::monotonic_ms();
        let [time, shift, alive, used, max] = reply.parts()?;
        let state = clock_state(time, shift)?;
        self.clock.correct(sent_ms, received_ms, state);
        match (used.non_nil(), max.non_nil()) {
            (Some(used), Some(max)) => self.memory.record(used.u64_or_zero()?, max.u64_or_zero()?),
            _ => self.update_memory().await,
        }
        // Ids that this release cannot read are skipped. An error would stop all processes of this release.
        let alive = alive.list()?.filter_map(|process| match process.text() {
            Ok(text) => ProcessId::parse(&text).ok().map(Ok),
            Err(error) => Some(Err(error)),
        });
        Ok(LiveProcesses {
            // `self.clock` may be slightly ahead of Redis. `read_at` must not be before `now_before`, the time at the call.
            read_at: state.time.max(now_before),
            alive: Arc::new(alive.collect::<Result<_, _>>()?),
        })
    }

    /// Reads the use of memory of every node.
    async fn update_memory(&self) {
        let mut info = cmd("INFO");
        info.arg("memory");
        if let Ok(reply) = self.connections.run_on_all_nodes(&info).await {
            self.memory.update(&reply);
        }
    }

    /// Sets the clock before the first renewal of the presence.
    pub(super) async fn set_clock(&self) -> Result<(), StoreError> {
        let sent_ms = MachineTime::monotonic_ms();
        let mut args = Arguments::default();
        args.push(self.keys.clock());
        let key = self.keys.presence();
        let script = &self.scripts.read_clock;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry)
            .await?;
        let received_ms = MachineTime::monotonic_ms();
        let [time, shift] = reply.parts()?;
        self.clock
            .correct(sent_ms, received_ms, clock_state(time, shift)?);
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
        args.push(me.as_str()).push_text(ttl_ms.max(1));
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

/// The state of the clock in a reply.
fn clock_state(time: ReplyPart, shift: ReplyPart) -> Result<ClockState, StoreError> {
    Ok(ClockState {
        time: TimeMs(time.u64_or_zero()?),
        shift_ms: shift.int()?,
    })
}
