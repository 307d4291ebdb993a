//! Presence, the clock and the election.

use std::time::Instant;

use forebay_shared::{
    ids::ProcessId,
    store::{Renewal, StoreError},
    time::TimeMs,
};
use redis::cmd;

use super::{
    RedisStore,
    arguments::Arguments,
    failure::{Accepts, Unexpected, unreadable},
    reply::Reply,
};

/// An entry goes when it is older than so many presence times, so that the list stays as short as the
/// fleet.
const KEPT_PRESENCE_TIMES: u64 = 10;
/// But not within this, in milliseconds.
const KEPT_MS_MIN: u64 = 60_000;

impl RedisStore {
    /// Announces a process, sets the clock and brings who is there, in one trip; and in the same one
    /// asks how full the memory is.
    pub(super) async fn renew_presence(
        &self,
        me: &ProcessId,
        presence_ms: u64,
    ) -> Result<Renewal, StoreError> {
        let before = self.clock.now();
        let kept_ms = presence_ms
            .saturating_mul(KEPT_PRESENCE_TIMES)
            .max(KEPT_MS_MIN);
        let mut args = Arguments::default();
        args.push(me.as_str()).int(presence_ms).int(kept_ms);
        let key = self.keys.presence();
        let (reply, ()) = tokio::join!(
            self.link
                .eval(&self.scripts.announce, &key, &args, Accepts::No),
            self.look_at_memory(),
        );
        let answered = Instant::now();
        let [said, alive] = reply?.parts()?;
        let said = TimeMs(said.natural()?);
        self.clock.correct(answered, said);
        let alive = alive
            .list()?
            .map(|process| ProcessId::parse(&process.text()?).map_err(unreadable));
        Ok(Renewal {
            now: said.max(before),
            alive: alive.collect::<Result<_, _>>()?,
        })
    }

    async fn look_at_memory(&self) {
        let mut info = cmd("INFO");
        info.arg("memory");
        if let Ok(answer) = self.link.run_everywhere(&info).await {
            self.memory.note(&answer);
        }
    }

    /// Sets the clock, before anybody has announced anything.
    pub(super) async fn set_clock(&self) -> Result<(), StoreError> {
        let time = self.link.run(&cmd("TIME"), Accepts::No).await?;
        let answered = Instant::now();
        let [seconds, micros] = Reply::new("TIME", time).parts()?;
        let ms = seconds.natural()?.saturating_mul(1_000) + micros.natural()? / 1_000;
        self.clock.correct(answered, TimeMs(ms));
        Ok(())
    }

    /// Takes an announcement back.
    pub(super) async fn end_presence(&self, me: &ProcessId) -> Result<(), StoreError> {
        let mut remove = cmd("ZREM");
        remove.arg(self.keys.presence()).arg(me.as_str());
        self.link.run(&remove, Accepts::No).await.map(drop)
    }

    /// Elects a process, or renews its election.
    pub(super) async fn elect_sweeper(
        &self,
        me: &ProcessId,
        ttl_ms: u64,
    ) -> Result<bool, StoreError> {
        let mut args = Arguments::default();
        args.push(me.as_str()).int(ttl_ms.max(1));
        let key = self.keys.sweeper();
        let reply = self
            .link
            .eval(&self.scripts.elect, &key, &args, Accepts::No);
        match reply.await?.int()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(unreadable(Unexpected("elect"))),
        }
    }

    /// Ends the election of a process.
    pub(super) async fn end_election(&self, me: &ProcessId) -> Result<(), StoreError> {
        let mut args = Arguments::default();
        args.push(me.as_str());
        let key = self.keys.sweeper();
        let reply = self
            .link
            .eval(&self.scripts.abdicate, &key, &args, Accepts::No);
        reply.await.map(drop)
    }
}
