//! A store that is away when the test says so, and loses an answer when it says so.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
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

/// A store with faults.
pub(crate) struct Fickle {
    inner: Arc<dyn Store>,
    /// While it is, every call fails.
    pub(crate) away: AtomicBool,
    /// The next commit that succeeds is answered as if it had not.
    pub(crate) lose_answer: AtomicBool,
    /// And with that it goes away.
    pub(crate) away_after_lost_answer: AtomicBool,
    /// Calls that failed, and answers that were lost.
    pub(crate) faults: AtomicUsize,
}

impl Fickle {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            away: AtomicBool::new(false),
            lose_answer: AtomicBool::new(false),
            away_after_lost_answer: AtomicBool::new(false),
            faults: AtomicUsize::new(0),
        }
    }

    fn up(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            self.faults.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::Unavailable(None));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Fickle {
    fn now(&self) -> TimeMs {
        self.inner.now()
    }

    async fn load(
        &self,
        lane: &LaneKey,
        jobs: &[JobId],
        work: Option<JobId>,
    ) -> Result<LoadedLane, StoreError> {
        self.up()?;
        self.inner.load(lane, jobs, work).await
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError> {
        self.up()?;
        let result = self.inner.commit(commit).await;
        if result.is_ok() && self.lose_answer.swap(false, Ordering::SeqCst) {
            self.faults.fetch_add(1, Ordering::SeqCst);
            if self.away_after_lost_answer.load(Ordering::SeqCst) {
                self.away.store(true, Ordering::SeqCst);
            }
            return Err(StoreError::Unavailable(None));
        }
        result
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&LaneKey>,
        limit: usize,
    ) -> Result<Vec<Head>, StoreError> {
        self.up()?;
        self.inner.heads(filter, after, limit).await
    }

    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError> {
        self.up()?;
        self.inner.due_timers(now, limit).await
    }

    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        self.up()?;
        self.inner.move_timers(moves).await
    }

    async fn job(&self, tenant: &TenantId, job: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.up()?;
        self.inner.job(tenant, job).await
    }

    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        self.up()?;
        self.inner.request(job).await
    }

    async fn set_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<SetKeyResult, StoreError> {
        self.up()?;
        self.inner
            .set_idempotency_key(tenant, key, entry, ttl_ms)
            .await
    }

    async fn session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<Session>, StoreError> {
        self.up()?;
        self.inner.session(tenant, session, ttl_ms).await
    }

    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        self.up()?;
        self.inner.remove_session(tenant, session).await
    }

    async fn evict_sessions(&self, sessions_max: u64, limit: usize) -> Result<u64, StoreError> {
        self.up()?;
        self.inner.evict_sessions(sessions_max, limit).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<u64, StoreError> {
        self.up()?;
        self.inner.delete_expired(limit).await
    }

    async fn announce(
        &self,
        me: &ProcessId,
        presence_ms: u64,
    ) -> Result<LiveProcesses, StoreError> {
        self.up()?;
        self.inner.announce(me, presence_ms).await
    }

    async fn withdraw(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.up()?;
        self.inner.withdraw(me).await
    }

    async fn elect_sweeper(&self, me: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError> {
        self.up()?;
        self.inner.elect_sweeper(me, ttl_ms).await
    }

    async fn step_down(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.up()?;
        self.inner.step_down(me).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.up()?;
        self.inner.counts().await
    }

    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        self.up()?;
        self.inner.watch(topic).await
    }
}
