//! A store that fails as the test says, in front of one that does not.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use forebay_shared::{
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::Request,
    lane::LiveProcesses,
    session::Session,
    store::{
        Commit, CommitResult, Counts, Head, HeadFilter, IdempotencyEntry, JobRecord, LoadedLane,
        Notices, SessionRemoval, SetKeyResult, Store, StoreError, Timer, TimerMove, Topic,
    },
    time::TimeMs,
};
use futures_util::future::BoxFuture;
use tokio::{sync::watch, time::Instant};

use crate::store::Memory;

/// A method of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Load,
    Commit,
    Heads,
    Due,
    MoveTimers,
    Announce,
    Resign,
    Elect,
    Abdicate,
    Counts,
    Prune,
    Evict,
    /// One that no loop calls.
    Other,
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As the one behind it.
    Fine,
    /// Every call fails at once, without effect.
    Away,
    /// Calls wait until it is otherwise.
    Hanging,
    /// Commits that admit a job are refused for want of room.
    Full,
}

/// What happens to one call.
pub(crate) enum Fault {
    /// It takes effect, and its answer is lost.
    LosesAnswer,
    /// It fails for want of room, without effect.
    Full,
    /// It fails for good, without effect.
    Broken,
    /// It panics.
    Panics,
    /// This happens first.
    Meanwhile(BoxFuture<'static, ()>),
}

/// The store with faults.
pub(crate) struct Fickle {
    behind: Arc<Memory>,
    mode: watch::Sender<Mode>,
    faults: Mutex<HashMap<Op, VecDeque<Fault>>>,
    calls: Mutex<Vec<(Op, Instant)>>,
    tried: Mutex<Vec<Commit>>,
}

impl Fickle {
    pub(crate) fn new(behind: Arc<Memory>) -> Self {
        Self {
            behind,
            mode: watch::Sender::new(Mode::Fine),
            faults: Mutex::default(),
            calls: Mutex::default(),
            tried: Mutex::default(),
        }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// What happens to the next calls of a method, one for each.
    pub(crate) fn script(&self, op: Op, faults: impl IntoIterator<Item = Fault>) {
        let mut script = self.faults.lock().unwrap();
        script.entry(op).or_default().extend(faults);
    }

    /// How often a method was called so far, with or without success.
    pub(crate) fn calls(&self, op: Op) -> usize {
        self.calls_at(op).len()
    }

    /// When a method was called.
    pub(crate) fn calls_at(&self, op: Op) -> Vec<Instant> {
        let calls = self.calls.lock().unwrap();
        let those = calls.iter().filter(|(called, _)| *called == op);
        those.map(|(_, at)| *at).collect()
    }

    /// The commits that were tried, in order.
    pub(crate) fn tried(&self) -> Vec<Commit> {
        self.tried.lock().unwrap().clone()
    }

    async fn call<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.calls.lock().unwrap().push((op, Instant::now()));
        let fault = self
            .faults
            .lock()
            .unwrap()
            .get_mut(&op)
            .and_then(VecDeque::pop_front);
        let mut mode = self.mode.subscribe();
        let mode = *mode.wait_for(|mode| *mode != Mode::Hanging).await.unwrap();
        if mode == Mode::Away {
            return Err(StoreError::Unavailable(None));
        }
        match fault {
            None => call.await,
            Some(Fault::LosesAnswer) => {
                call.await?;
                Err(StoreError::Unavailable(None))
            }
            Some(Fault::Full) => Err(StoreError::Full),
            Some(Fault::Broken) => Err(StoreError::Broken("as the test says".into())),
            Some(Fault::Panics) => panic!("as the test says"),
            Some(Fault::Meanwhile(first)) => {
                first.await;
                call.await
            }
        }
    }
}

#[async_trait]
impl Store for Fickle {
    fn now(&self) -> TimeMs {
        self.behind.now()
    }

    async fn load(
        &self,
        lane: &LaneKey,
        jobs: &[JobId],
        work: Option<JobId>,
    ) -> Result<LoadedLane, StoreError> {
        let call = self.behind.load(lane, jobs, work);
        self.call(Op::Load, call).await
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError> {
        self.tried.lock().unwrap().push(commit.clone());
        if *self.mode.borrow() == Mode::Full && !commit.admitted.is_empty() {
            self.script(Op::Commit, [Fault::Full]);
        }
        self.call(Op::Commit, self.behind.commit(commit)).await
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&LaneKey>,
        limit: usize,
    ) -> Result<Vec<Head>, StoreError> {
        let call = self.behind.heads(filter, after, limit);
        self.call(Op::Heads, call).await
    }

    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError> {
        self.call(Op::Due, self.behind.due_timers(now, limit)).await
    }

    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        let call = self.behind.move_timers(moves);
        self.call(Op::MoveTimers, call).await
    }

    async fn job(&self, tenant: &TenantId, job: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.call(Op::Other, self.behind.job(tenant, job)).await
    }

    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        self.call(Op::Other, self.behind.request(job)).await
    }

    async fn set_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<SetKeyResult, StoreError> {
        let call = self.behind.set_idempotency_key(tenant, key, entry, ttl_ms);
        self.call(Op::Other, call).await
    }

    async fn session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<Session>, StoreError> {
        let call = self.behind.session(tenant, session, ttl_ms);
        self.call(Op::Other, call).await
    }

    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        let call = self.behind.remove_session(tenant, session);
        self.call(Op::Other, call).await
    }

    async fn evict_sessions(&self, sessions_max: u64, limit: usize) -> Result<u64, StoreError> {
        let call = self.behind.evict_sessions(sessions_max, limit);
        self.call(Op::Evict, call).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<u64, StoreError> {
        self.call(Op::Prune, self.behind.delete_expired(limit))
            .await
    }

    async fn announce(
        &self,
        me: &ProcessId,
        presence_ms: u64,
    ) -> Result<LiveProcesses, StoreError> {
        let call = self.behind.announce(me, presence_ms);
        self.call(Op::Announce, call).await
    }

    async fn withdraw(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.call(Op::Resign, self.behind.withdraw(me)).await
    }

    async fn elect_sweeper(&self, me: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError> {
        self.call(Op::Elect, self.behind.elect_sweeper(me, ttl_ms))
            .await
    }

    async fn step_down(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.call(Op::Abdicate, self.behind.step_down(me)).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.call(Op::Counts, self.behind.counts()).await
    }

    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        self.call(Op::Other, self.behind.watch(topic)).await
    }
}
