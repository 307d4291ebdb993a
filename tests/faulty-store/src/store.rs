//! The faulty store. It records each call that can fail, applies the mode and the call's fault, and forwards the call.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

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
use tokio::{sync::watch, time::Instant};

use crate::faults::{Fault, StoreCall, StoreMode};

/// A store that fails on a test's command and otherwise forwards its calls to a working store.
pub struct FaultyStore {
    pub(crate) inner: Arc<dyn Store>,
    mode: watch::Sender<StoreMode>,
    faults: Mutex<HashMap<StoreCall, VecDeque<Fault>>>,
    calls: watch::Sender<Vec<(StoreCall, Instant)>>,
    commits: Mutex<Vec<Commit>>,
    failures: AtomicUsize,
}

impl FaultyStore {
    /// A store that forwards its calls to `inner`, without faults at first.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            mode: watch::Sender::new(StoreMode::Up),
            faults: Mutex::default(),
            calls: watch::Sender::default(),
            commits: Mutex::default(),
            failures: AtomicUsize::new(0),
        }
    }

    /// Sets the mode that applies to all calls from now on.
    pub fn set_mode(&self, mode: StoreMode) {
        self.mode.send_replace(mode);
    }

    /// The mode that applies now.
    #[must_use]
    pub fn mode(&self) -> StoreMode {
        *self.mode.borrow()
    }

    /// Plans the faults of the next calls of a method, one for each call. A call that fails because of the mode uses up its fault.
    pub fn plan(&self, call: StoreCall, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.faults).entry(call).or_default().extend(faults);
    }

    /// How many calls of a method were made, failed calls included.
    #[must_use]
    pub fn call_count(&self, call: StoreCall) -> usize {
        self.call_times(call).len()
    }

    /// When the calls of a method were made.
    #[must_use]
    pub fn call_times(&self, call: StoreCall) -> Vec<Instant> {
        let calls = self.calls.borrow();
        let calls = calls.iter().filter(|(method, _)| *method == call);
        calls.map(|(_, time)| *time).collect()
    }

    /// Waits until `count` calls of a method were made, failed calls included.
    pub async fn wait_for_calls(&self, call: StoreCall, count: usize) {
        let mut calls = self.calls.subscribe();
        let enough = calls.wait_for(|calls| {
            let made = calls.iter().filter(|(method, _)| *method == call).count();
            made >= count
        });
        // The wait cannot fail, because the sender lives as long as `self`.
        let _ = enough.await;
    }

    /// All commits that were requested, in order, failed commits included.
    #[must_use]
    pub fn commits(&self) -> Vec<Commit> {
        lock(&self.commits).clone()
    }

    /// How many calls failed because of a fault or the mode, lost responses included.
    #[must_use]
    pub fn failure_count(&self) -> usize {
        self.failures.load(Ordering::SeqCst)
    }

    /// Records the call, and applies the mode and the call's fault. `inner_call` is the same call to the working store.
    pub(crate) async fn forward<T>(
        &self,
        call: StoreCall,
        inner_call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.calls
            .send_modify(|calls| calls.push((call, Instant::now())));
        let fault = lock(&self.faults)
            .get_mut(&call)
            .and_then(VecDeque::pop_front);
        let mut mode = self.mode.subscribe();
        let mode = mode.wait_for(|mode| *mode != StoreMode::Hanging).await;
        if mode.is_ok_and(|mode| *mode == StoreMode::Down) {
            return self.fail(StoreError::Unavailable(None));
        }
        match fault {
            None => inner_call.await,
            Some(Fault::LoseResponse) => {
                inner_call.await?;
                self.fail(StoreError::Unavailable(None))
            }
            Some(Fault::LoseResponseAndGoDown) => {
                inner_call.await?;
                self.set_mode(StoreMode::Down);
                self.fail(StoreError::Unavailable(None))
            }
            Some(Fault::Full) => self.fail(StoreError::Full),
            Some(Fault::TooLarge) => self.fail(StoreError::TooLarge),
            Some(Fault::Broken) => {
                self.fail(StoreError::Broken("a fault that the test planned".into()))
            }
            Some(Fault::Panic) => panic!("a fault that the test planned"),
            Some(Fault::After(condition)) => {
                condition.await;
                inner_call.await
            }
            Some(Fault::RespondAfter(condition)) => {
                let response = inner_call.await;
                condition.await;
                response
            }
        }
    }

    fn fail<T>(&self, error: StoreError) -> Result<T, StoreError> {
        self.failures.fetch_add(1, Ordering::SeqCst);
        Err(error)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for FaultyStore {
    fn now(&self) -> TimeMs {
        self.inner.now()
    }

    fn is_full(&self) -> bool {
        self.mode() == StoreMode::Full || self.inner.is_full()
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
        let inner_call = self.inner.load(lane, outcomes_of, run_inputs_of);
        self.forward(StoreCall::Load, inner_call).await
    }

    async fn run_inputs(
        &self,
        lane: &LaneKey,
        job: JobId,
    ) -> Result<Option<RunInputs>, StoreError> {
        let inner_call = self.inner.run_inputs(lane, job);
        self.forward(StoreCall::RunInputs, inner_call).await
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError> {
        lock(&self.commits).push(commit.clone());
        let inner_call = async {
            if self.mode() == StoreMode::Full && !commit.admitted.is_empty() {
                return self.fail(StoreError::Full);
            }
            self.inner.commit(commit).await
        };
        self.forward(StoreCall::Commit, inner_call).await
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&Head>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        let inner_call = self.inner.heads(filter, after, limit);
        self.forward(StoreCall::Heads, inner_call).await
    }

    async fn accounts(&self) -> Result<StoredAccounts, StoreError> {
        let inner_call = self.inner.accounts();
        self.forward(StoreCall::Accounts, inner_call).await
    }

    async fn swap_account(&self, swap: &AccountSwap) -> Result<bool, StoreError> {
        let inner_call = self.inner.swap_account(swap);
        self.forward(StoreCall::SwapAccount, inner_call).await
    }

    async fn deferred_heads(
        &self,
        account: &AccountKey,
        class: Class,
        limit: usize,
    ) -> Result<Vec<DeferredHead>, StoreError> {
        let inner_call = self.inner.deferred_heads(account, class, limit);
        self.forward(StoreCall::DeferredHeads, inner_call).await
    }

    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError> {
        let inner_call = self.inner.due_timers(now, limit);
        self.forward(StoreCall::DueTimers, inner_call).await
    }

    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        let inner_call = self.inner.move_timers(moves);
        self.forward(StoreCall::MoveTimers, inner_call).await
    }

    async fn remove_orphan_timers(&self, timers: &[Timer]) -> Result<Vec<bool>, StoreError> {
        let inner_call = self.inner.remove_orphan_timers(timers);
        self.forward(StoreCall::RemoveOrphanTimers, inner_call)
            .await
    }

    async fn find_job(
        &self,
        tenant: &TenantId,
        job: JobId,
        outcome_bytes_max: u64,
    ) -> Result<Option<FoundJob>, StoreError> {
        let inner_call = self.inner.find_job(tenant, job, outcome_bytes_max);
        self.forward(StoreCall::Job, inner_call).await
    }

    async fn remove_job(&self, tenant: &TenantId, job: JobId) -> Result<JobRemoval, StoreError> {
        let inner_call = self.inner.remove_job(tenant, job);
        self.forward(StoreCall::RemoveJob, inner_call).await
    }

    async fn is_job_removed(&self, job: JobId) -> Result<bool, StoreError> {
        let inner_call = self.inner.is_job_removed(job);
        self.forward(StoreCall::IsJobRemoved, inner_call).await
    }

    async fn list_jobs(&self, query: &ListQuery) -> Result<Vec<ListPosition>, StoreError> {
        let inner_call = self.inner.list_jobs(query);
        self.forward(StoreCall::ListJobs, inner_call).await
    }

    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        let inner_call = self.inner.request(job);
        self.forward(StoreCall::Request, inner_call).await
    }

    async fn request_bytes(&self, jobs: &[JobId]) -> Result<Vec<u64>, StoreError> {
        let inner_call = self.inner.request_bytes(jobs);
        self.forward(StoreCall::RequestBytes, inner_call).await
    }

    async fn set_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<SetKeyResult, StoreError> {
        let inner_call = self.inner.set_idempotency_key(tenant, key, entry, ttl_ms);
        self.forward(StoreCall::SetIdempotencyKey, inner_call).await
    }

    async fn idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<IdempotencyEntry>, StoreError> {
        let inner_call = self.inner.idempotency_key(tenant, key);
        self.forward(StoreCall::IdempotencyKey, inner_call).await
    }

    async fn swap_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        expected: &IdempotencyEntry,
        next: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<bool, StoreError> {
        let inner_call = self
            .inner
            .swap_idempotency_key(tenant, key, expected, next, ttl_ms);
        self.forward(StoreCall::SwapIdempotencyKey, inner_call)
            .await
    }

    async fn session_info(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<SessionInfo>, StoreError> {
        let inner_call = self.inner.session_info(tenant, session, ttl_ms);
        self.forward(StoreCall::SessionInfo, inner_call).await
    }

    async fn session_turns(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        range: TurnRange,
    ) -> Result<Vec<StoredTurn>, StoreError> {
        let inner_call = self.inner.session_turns(tenant, session, range);
        self.forward(StoreCall::SessionTurns, inner_call).await
    }

    async fn session_settings(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<StoredSettings>, StoreError> {
        let inner_call = self.inner.session_settings(tenant, session);
        self.forward(StoreCall::SessionSettings, inner_call).await
    }

    async fn session_model(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<String>, StoreError> {
        let inner_call = self.inner.session_model(tenant, session);
        self.forward(StoreCall::SessionModel, inner_call).await
    }

    async fn swap_settings(
        &self,
        swap: Arc<SettingsSwap>,
    ) -> Result<SettingsSwapResult, StoreError> {
        let inner_call = self.inner.swap_settings(swap);
        self.forward(StoreCall::SwapSettings, inner_call).await
    }

    async fn list_sessions(
        &self,
        query: &SessionListQuery,
    ) -> Result<Vec<ListedSession>, StoreError> {
        let inner_call = self.inner.list_sessions(query);
        self.forward(StoreCall::ListSessions, inner_call).await
    }

    async fn put_session(&self, put: Arc<SessionPut>) -> Result<SessionPutResult, StoreError> {
        let inner_call = self.inner.put_session(put);
        self.forward(StoreCall::PutSession, inner_call).await
    }

    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        let inner_call = self.inner.remove_session(tenant, session);
        self.forward(StoreCall::RemoveSession, inner_call).await
    }

    async fn evict_sessions(&self, sessions_max: u64, limit: usize) -> Result<u64, StoreError> {
        let inner_call = self.inner.evict_sessions(sessions_max, limit);
        self.forward(StoreCall::EvictSessions, inner_call).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<u64, StoreError> {
        let inner_call = self.inner.delete_expired(limit);
        self.forward(StoreCall::DeleteExpired, inner_call).await
    }

    async fn renew_presence(
        &self,
        process: &ProcessId,
        presence_ttl_ms: u64,
    ) -> Result<LiveProcesses, StoreError> {
        let inner_call = self.inner.renew_presence(process, presence_ttl_ms);
        self.forward(StoreCall::RenewPresence, inner_call).await
    }

    async fn end_presence(&self, process: &ProcessId) -> Result<(), StoreError> {
        let inner_call = self.inner.end_presence(process);
        self.forward(StoreCall::EndPresence, inner_call).await
    }

    async fn elect_sweeper(&self, process: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError> {
        let inner_call = self.inner.elect_sweeper(process, ttl_ms);
        self.forward(StoreCall::ElectSweeper, inner_call).await
    }

    async fn end_term(&self, process: &ProcessId) -> Result<(), StoreError> {
        let inner_call = self.inner.end_term(process);
        self.forward(StoreCall::EndTerm, inner_call).await
    }

    async fn recent_counts(&self) -> Result<RecentCounts, StoreError> {
        let inner_call = self.inner.recent_counts();
        self.forward(StoreCall::Counts, inner_call).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let inner_call = self.inner.counts();
        self.forward(StoreCall::Counts, inner_call).await
    }

    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        let inner_call = self.inner.watch(topic);
        self.forward(StoreCall::Watch, inner_call).await
    }
}
