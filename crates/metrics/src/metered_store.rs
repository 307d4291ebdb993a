//! A store that measures its calls and forwards them to another store.
//!
//! Only a process with an admin listener uses it.

mod api_keys;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::Request,
    lane::LiveProcesses,
    session::{SessionInfo, StoredTurn},
    session_settings::StoredSettings,
    store::{
        AccountSwap, Commit, CommitResult, Counts, DeferredHead, FoundJob, Head, HeadFilter,
        HeadPage, IdempotencyEntry, JobRemoval, ListPosition, ListQuery, ListedSession, LoadedLane,
        Notices, RecentCounts, RunInputs, SessionListQuery, SessionPut, SessionPutResult,
        SessionRemoval, SetKeyResult, SettingsSwap, SettingsSwapResult, Store, StoreError,
        StoredAccounts, Timer, TimerMove, Topic, TurnRange,
    },
    time::TimeMs,
};

use crate::store::{ABANDONED, StoreMetrics, error_kind};

/// A store that measures its calls.
pub struct MeteredStore {
    pub(crate) inner: Arc<dyn Store>,
    metrics: StoreMetrics,
}

impl MeteredStore {
    /// Measures the calls of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, metrics: StoreMetrics) -> Self {
        Self { inner, metrics }
    }

    /// Measures a call. If the caller stops waiting for it, it is recorded as abandoned.
    pub(crate) async fn measure<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let mut running = RunningCall {
            metrics: &self.metrics,
            operation,
            began: Instant::now(),
            error: Some(ABANDONED),
        };
        let result = call.await;
        running.error = result.as_ref().err().map(error_kind);
        result
    }
}

/// A running call of the store. It is recorded when it is dropped.
struct RunningCall<'a> {
    metrics: &'a StoreMetrics,
    operation: &'static str,
    began: Instant,
    error: Option<&'static str>,
}

impl Drop for RunningCall<'_> {
    fn drop(&mut self) {
        let duration = self.began.elapsed();
        self.metrics.record(self.operation, duration, self.error);
    }
}

#[async_trait]
impl Store for MeteredStore {
    fn now(&self) -> TimeMs {
        self.inner.now()
    }

    fn is_full(&self) -> bool {
        self.inner.is_full()
    }

    fn to_utc(&self, time: TimeMs) -> TimeMs {
        self.inner.to_utc(time)
    }

    async fn load(
        &self,
        lane: &LaneKey,
        outcomes_of: &[JobId],
        run_inputs_of: Option<JobId>,
    ) -> Result<LoadedLane, StoreError> {
        let call = self.inner.load(lane, outcomes_of, run_inputs_of);
        self.measure("load", call).await
    }

    async fn run_inputs(
        &self,
        lane: &LaneKey,
        job: JobId,
    ) -> Result<Option<RunInputs>, StoreError> {
        let call = self.inner.run_inputs(lane, job);
        self.measure("run_inputs", call).await
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError> {
        let call = self.inner.commit(commit);
        self.measure("commit", call).await
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&Head>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        let call = self.inner.heads(filter, after, limit);
        self.measure("heads", call).await
    }

    async fn accounts(&self) -> Result<StoredAccounts, StoreError> {
        let call = self.inner.accounts();
        self.measure("accounts", call).await
    }

    async fn swap_account(&self, swap: &AccountSwap) -> Result<bool, StoreError> {
        let call = self.inner.swap_account(swap);
        self.measure("swap_account", call).await
    }

    async fn deferred_heads(
        &self,
        account: &AccountKey,
        class: Class,
        limit: usize,
    ) -> Result<Vec<DeferredHead>, StoreError> {
        let call = self.inner.deferred_heads(account, class, limit);
        self.measure("deferred_heads", call).await
    }

    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError> {
        let call = self.inner.due_timers(now, limit);
        self.measure("due_timers", call).await
    }

    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        let call = self.inner.move_timers(moves);
        self.measure("move_timers", call).await
    }

    async fn remove_orphan_timers(&self, timers: &[Timer]) -> Result<Vec<bool>, StoreError> {
        let call = self.inner.remove_orphan_timers(timers);
        self.measure("remove_orphan_timers", call).await
    }

    async fn find_job(
        &self,
        tenant: &TenantId,
        job: JobId,
        outcome_bytes_max: u64,
    ) -> Result<Option<FoundJob>, StoreError> {
        let call = self.inner.find_job(tenant, job, outcome_bytes_max);
        self.measure("find_job", call).await
    }

    async fn remove_job(&self, tenant: &TenantId, job: JobId) -> Result<JobRemoval, StoreError> {
        let call = self.inner.remove_job(tenant, job);
        self.measure("remove_job", call).await
    }

    async fn is_job_removed(&self, job: JobId) -> Result<bool, StoreError> {
        let call = self.inner.is_job_removed(job);
        self.measure("is_job_removed", call).await
    }

    async fn list_jobs(&self, query: &ListQuery) -> Result<Vec<ListPosition>, StoreError> {
        let call = self.inner.list_jobs(query);
        self.measure("list_jobs", call).await
    }

    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        let call = self.inner.request(job);
        self.measure("request", call).await
    }

    async fn request_bytes(&self, jobs: &[JobId]) -> Result<Vec<u64>, StoreError> {
        let call = self.inner.request_bytes(jobs);
        self.measure("request_bytes", call).await
    }

    async fn set_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<SetKeyResult, StoreError> {
        let call = self.inner.set_idempotency_key(tenant, key, entry, ttl_ms);
        self.measure("set_idempotency_key", call).await
    }

    async fn idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<IdempotencyEntry>, StoreError> {
        let call = self.inner.idempotency_key(tenant, key);
        self.measure("idempotency_key", call).await
    }

    async fn swap_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        expected: &IdempotencyEntry,
        next: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<bool, StoreError> {
        let call = self
            .inner
            .swap_idempotency_key(tenant, key, expected, next, ttl_ms);
        self.measure("swap_idempotency_key", call).await
    }

    async fn session_info(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<SessionInfo>, StoreError> {
        let call = self.inner.session_info(tenant, session, ttl_ms);
        self.measure("session_info", call).await
    }

    async fn session_turns(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        range: TurnRange,
    ) -> Result<Vec<StoredTurn>, StoreError> {
        let call = self.inner.session_turns(tenant, session, range);
        self.measure("session_turns", call).await
    }

    async fn session_settings(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<StoredSettings>, StoreError> {
        let call = self.inner.session_settings(tenant, session);
        self.measure("session_settings", call).await
    }

    async fn session_model(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<String>, StoreError> {
        let call = self.inner.session_model(tenant, session);
        self.measure("session_model", call).await
    }

    async fn swap_settings(
        &self,
        swap: Arc<SettingsSwap>,
    ) -> Result<SettingsSwapResult, StoreError> {
        let call = self.inner.swap_settings(swap);
        self.measure("swap_settings", call).await
    }

    async fn list_sessions(
        &self,
        query: &SessionListQuery,
    ) -> Result<Vec<ListedSession>, StoreError> {
        let call = self.inner.list_sessions(query);
        self.measure("list_sessions", call).await
    }

    async fn put_session(&self, put: Arc<SessionPut>) -> Result<SessionPutResult, StoreError> {
        let call = self.inner.put_session(put);
        self.measure("put_session", call).await
    }

    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        let call = self.inner.remove_session(tenant, session);
        self.measure("remove_session", call).await
    }

    async fn evict_sessions(&self, sessions_max: u64, limit: usize) -> Result<u64, StoreError> {
        let call = self.inner.evict_sessions(sessions_max, limit);
        self.measure("evict_sessions", call).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<u64, StoreError> {
        let call = self.inner.delete_expired(limit);
        self.measure("delete_expired", call).await
    }

    async fn renew_presence(
        &self,
        process: &ProcessId,
        presence_ttl_ms: u64,
    ) -> Result<LiveProcesses, StoreError> {
        let call = self.inner.renew_presence(process, presence_ttl_ms);
        self.measure("renew_presence", call).await
    }

    async fn end_presence(&self, process: &ProcessId) -> Result<(), StoreError> {
        let call = self.inner.end_presence(process);
        self.measure("end_presence", call).await
    }

    async fn elect_sweeper(&self, process: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError> {
        let call = self.inner.elect_sweeper(process, ttl_ms);
        self.measure("elect_sweeper", call).await
    }

    async fn end_term(&self, process: &ProcessId) -> Result<(), StoreError> {
        let call = self.inner.end_term(process);
        self.measure("end_term", call).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let call = self.inner.counts();
        self.measure("counts", call).await
    }

    async fn recent_counts(&self) -> Result<RecentCounts, StoreError> {
        let call = self.inner.recent_counts();
        // Both methods that read the counts have one label.
        self.measure("counts", call).await
    }

    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        let call = self.inner.watch(topic);
        self.measure("watch", call).await
    }
}
