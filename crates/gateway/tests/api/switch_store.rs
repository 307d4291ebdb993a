//! A store that can be made to fail, in front of a real one.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
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

/// How the store behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    /// As the real one.
    Fine,
    /// Every call fails at once.
    Away,
    /// No call ever ends.
    Hanging,
    /// Commits that admit a job are refused.
    Full,
    /// Reading a job panics.
    Panicking,
}

pub(crate) struct SwitchStore {
    inner: Arc<dyn Store>,
    mode: AtomicU8,
}

impl SwitchStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        let mode = AtomicU8::new(Mode::Fine as u8);
        Self { inner, mode }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }

    fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::SeqCst) == mode as u8
    }

    async fn pass(&self) -> Result<&dyn Store, StoreError> {
        if self.is(Mode::Hanging) {
            future::pending::<()>().await;
        }
        if self.is(Mode::Away) {
            return Err(StoreError::Unavailable(None));
        }
        Ok(&*self.inner)
    }
}

#[async_trait]
impl Store for SwitchStore {
    fn now(&self) -> TimeMs {
        self.inner.now()
    }

    async fn load(
        &self,
        lane: &LaneKey,
        jobs: &[JobId],
        work: Option<JobId>,
    ) -> Result<LoadedLane, StoreError> {
        self.pass().await?.load(lane, jobs, work).await
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError> {
        if self.is(Mode::Full) && !commit.admitted.is_empty() {
            return Err(StoreError::Full);
        }
        self.pass().await?.commit(commit).await
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&LaneKey>,
        limit: usize,
    ) -> Result<Vec<Head>, StoreError> {
        self.pass().await?.heads(filter, after, limit).await
    }

    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError> {
        self.pass().await?.due_timers(now, limit).await
    }

    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        self.pass().await?.move_timers(moves).await
    }

    async fn job(&self, tenant: &TenantId, job: JobId) -> Result<Option<JobRecord>, StoreError> {
        assert!(!self.is(Mode::Panicking), "the test wants a panic");
        self.pass().await?.job(tenant, job).await
    }

    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        self.pass().await?.request(job).await
    }

    async fn set_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<SetKeyResult, StoreError> {
        self.pass()
            .await?
            .set_idempotency_key(tenant, key, entry, ttl_ms)
            .await
    }

    async fn session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<Session>, StoreError> {
        self.pass().await?.session(tenant, session, ttl_ms).await
    }

    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        self.pass().await?.remove_session(tenant, session).await
    }

    async fn evict_sessions(&self, sessions_max: u64, limit: usize) -> Result<u64, StoreError> {
        self.pass().await?.evict_sessions(sessions_max, limit).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<u64, StoreError> {
        self.pass().await?.delete_expired(limit).await
    }

    async fn announce(
        &self,
        me: &ProcessId,
        presence_ms: u64,
    ) -> Result<LiveProcesses, StoreError> {
        self.pass().await?.announce(me, presence_ms).await
    }

    async fn withdraw(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.pass().await?.withdraw(me).await
    }

    async fn elect_sweeper(&self, me: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError> {
        self.pass().await?.elect_sweeper(me, ttl_ms).await
    }

    async fn step_down(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.pass().await?.step_down(me).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.pass().await?.counts().await
    }

    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        self.pass().await?.watch(topic).await
    }
}
