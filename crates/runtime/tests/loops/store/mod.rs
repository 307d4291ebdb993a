//! A store in memory that keeps the contract of the trait `Store`, follows the paused clock and never fails.
//!
//! The store records every commit. After each commit it checks that every live job has a timer and that the counts are
//! right. It ignores times to live, the limits of a session, and all notices but those of accounts, because no loop depends
//! on them.
//!
//! The tests do not use the embedded store, because its threads and its clock do not follow the paused clock.

mod accounts;
mod api_keys;
mod commit;
mod read;
mod tenant_limits;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::{JobMeta, Outcome, Request},
    lane::{ClassCounts, Lane, LiveProcesses},
    session::{Conversation, SessionInfo, StoredTurn},
    session_settings::StoredSettings,
    store::{
        AccountSwap, Commit, CommitResult, Counts, DeferredHead, FoundJob, Head, HeadFilter,
        HeadPage, IdempotencyEntry, JobRecord, JobRemoval, JobState, LaneVersion, ListPosition,
        ListQuery, ListedSession, LiveJob, LoadedLane, NewJob, Notices, RunInputs,
        SessionListQuery, SessionPut, SessionPutResult, SessionRemoval, SetKeyResult, SettingsSwap,
        SettingsSwapResult, Store, StoreError, StoredAccount, StoredAccounts, TenantClassCounts,
        Timer, TimerMove, Topic, TurnRange, UnreadableAccount,
    },
    time::TimeMs,
};
use tokio::{sync::mpsc, time::Instant};

/// The time at which the store's clock begins.
const START: TimeMs = TimeMs(1_000_000_000);

/// A store in memory.
pub(crate) struct MemoryStore {
    began: Instant,
    state: Mutex<State>,
    /// The streams of notices of accounts.
    account_watchers: Mutex<Vec<mpsc::Sender<JobId>>>,
    /// How many expired records are left for `delete_expired`.
    pub(crate) expired_records_left: AtomicU64,
    /// How many sessions beyond the limit are left for `evict_sessions`.
    pub(crate) sessions_beyond_limit_left: AtomicU64,
}

/// The state of the store.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) lanes: BTreeMap<LaneKey, (Lane, LaneVersion)>,
    /// The lanes that no process can read.
    pub(crate) unreadable_lanes: BTreeSet<LaneKey>,
    pub(crate) jobs: HashMap<JobId, (Arc<NewJob>, Option<Outcome>)>,
    pub(crate) timers: BTreeMap<JobId, (LaneKey, TimeMs)>,
    pub(crate) sessions: HashMap<(TenantId, SessionId), Conversation>,
    pub(crate) counts: BTreeMap<(TenantId, Class), (ClassCounts, u64)>,
    pub(crate) accounts: BTreeMap<AccountKey, StoredAccount>,
    /// The accounts that no process can read.
    pub(crate) unreadable_accounts: BTreeSet<AccountKey>,
    /// The commits that took effect, in order.
    pub(crate) commits: Vec<Commit>,
    keys: HashMap<(TenantId, String), IdempotencyEntry>,
    present: HashMap<ProcessId, TimeMs>,
    sweeper: Option<(ProcessId, TimeMs)>,
}

impl MemoryStore {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            state: Mutex::default(),
            account_watchers: Mutex::default(),
            expired_records_left: AtomicU64::new(0),
            sessions_beyond_limit_left: AtomicU64::new(0),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The current sweeper.
    pub(crate) fn sweeper(&self) -> Option<ProcessId> {
        let state = self.state();
        let (holder, until) = state.sweeper.as_ref()?;
        (*until > self.now()).then(|| holder.clone())
    }

    /// Ends all streams of notices of accounts.
    pub(crate) fn end_account_notices(&self) {
        self.account_watchers.lock().unwrap().clear();
    }

    /// The metadata of a job.
    pub(crate) fn meta(&self, job: JobId) -> JobMeta {
        self.state().jobs[&job].0.meta.clone()
    }

    /// Whether this process has a presence.
    pub(crate) fn is_present(&self, process: &ProcessId) -> bool {
        self.state().present.contains_key(process)
    }
}

impl State {
    /// Makes a process the sweeper until `until`.
    pub(crate) fn elect_until(&mut self, holder: ProcessId, until: TimeMs) {
        self.sweeper = Some((holder, until));
    }
}

/// Deletes up to `limit` of the items that are left. Returns how many were deleted.
fn delete_page(left: &AtomicU64, limit: usize) -> u64 {
    let deleted = left.load(Ordering::SeqCst).min(limit as u64);
    left.fetch_sub(deleted, Ordering::SeqCst);
    deleted
}

#[async_trait]
impl Store for MemoryStore {
    fn now(&self) -> TimeMs {
        START.plus_ms(u64::try_from(self.began.elapsed().as_millis()).unwrap())
    }

    fn is_full(&self) -> bool {
        false
    }

    fn to_utc(&self, time: TimeMs) -> TimeMs {
        time
    }

    async fn load(
        &self,
        lane: &LaneKey,
        jobs: &[JobId],
        run_inputs: Option<JobId>,
    ) -> Result<LoadedLane, StoreError> {
        let state = self.state();
        if state.unreadable_lanes.contains(lane) {
            let error = "the test makes the lane unreadable";
            return Err(StoreError::Broken(error.into()));
        }
        Ok(state.load(lane, jobs, run_inputs))
    }

    async fn run_inputs(
        &self,
        lane: &LaneKey,
        job: JobId,
    ) -> Result<Option<RunInputs>, StoreError> {
        Ok(Some(self.state().run_inputs(lane, job)))
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError> {
        self.state().commit(commit)
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&Head>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        let mut heads = self.state().heads(&filter);
        heads.retain(|head| after.is_none_or(|after| order(head) > order(after)));
        heads.sort_by_key(order);
        let is_last = heads.len() <= limit;
        heads.truncate(limit);
        Ok(HeadPage { heads, is_last })
    }

    async fn accounts(&self) -> Result<StoredAccounts, StoreError> {
        let state = self.state();
        let (unreadable, accounts) = state
            .accounts
            .values()
            .cloned()
            .partition::<Vec<_>, _>(|stored| state.unreadable_accounts.contains(&stored.key));
        let unreadable = unreadable.into_iter().map(|stored| UnreadableAccount {
            key: stored.key,
            error: StoreError::Broken("the test makes the account unreadable".into()),
        });
        Ok(StoredAccounts {
            accounts,
            unreadable: unreadable.collect(),
        })
    }

    async fn swap_account(&self, swap: &AccountSwap) -> Result<bool, StoreError> {
        let swapped = self.state().swap_account(swap);
        if swapped {
            let mut watchers = self.account_watchers.lock().unwrap();
            watchers.retain(|watcher| {
                let sent = watcher.try_send(JobId::NIL);
                !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
            });
        }
        Ok(swapped)
    }

    async fn deferred_heads(
        &self,
        account: &AccountKey,
        class: Class,
        limit: usize,
    ) -> Result<Vec<DeferredHead>, StoreError> {
        Ok(self.state().deferred_heads(account, class, limit))
    }

    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError> {
        Ok(self.state().due_timers(now, limit))
    }

    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        Ok(self.state().move_timers(moves))
    }

    async fn remove_orphan_timers(&self, timers: &[Timer]) -> Result<Vec<bool>, StoreError> {
        Ok(self.state().remove_orphan_timers(timers))
    }

    async fn find_job(
        &self,
        tenant: &TenantId,
        job: JobId,
        _outcome_bytes_max: u64,
    ) -> Result<Option<FoundJob>, StoreError> {
        let state = self.state();
        let Some((new_job, outcome)) = state.jobs.get(&job) else {
            return Ok(None);
        };
        if new_job.meta.tenant != *tenant {
            return Ok(None);
        }
        let job_state = match outcome {
            Some(outcome) => JobState::Ended(outcome.clone()),
            None => {
                let (lane, _) = &state.lanes[&new_job.meta.lane()];
                JobState::Live(LiveJob::of(lane, job).unwrap())
            }
        };
        let meta = new_job.meta.clone();
        Ok(Some(FoundJob::Record(Box::new(JobRecord {
            meta,
            state: job_state,
        }))))
    }

    async fn remove_job(&self, _tenant: &TenantId, _job: JobId) -> Result<JobRemoval, StoreError> {
        unreachable!("no loop removes jobs")
    }

    async fn is_job_removed(&self, _job: JobId) -> Result<bool, StoreError> {
        unreachable!("no loop asks for removed jobs")
    }

    async fn list_jobs(&self, _query: &ListQuery) -> Result<Vec<ListPosition>, StoreError> {
        unreachable!("no loop lists jobs")
    }

    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        let state = self.state();
        Ok(state
            .jobs
            .get(&job)
            .map(|(new_job, _)| new_job.request.clone()))
    }

    async fn request_bytes(&self, jobs: &[JobId]) -> Result<Vec<u64>, StoreError> {
        let state = self.state();
        let bytes = |job: &JobId| {
            let (new_job, _) = state.jobs.get(job)?;
            let json = serde_json::to_vec(&new_job.request).unwrap();
            Some(json.len() as u64)
        };
        Ok(jobs.iter().map(|job| bytes(job).unwrap_or(0)).collect())
    }

    async fn set_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &IdempotencyEntry,
        _ttl_ms: u64,
    ) -> Result<SetKeyResult, StoreError> {
        let mut state = self.state();
        let key = (tenant.clone(), key.to_owned());
        if let Some(found) = state.keys.get(&key) {
            return Ok(SetKeyResult::AlreadySet(found.clone()));
        }
        state.keys.insert(key, entry.clone());
        Ok(SetKeyResult::Set)
    }

    async fn idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<IdempotencyEntry>, StoreError> {
        let key = (tenant.clone(), key.to_owned());
        Ok(self.state().keys.get(&key).cloned())
    }

    async fn swap_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        expected: &IdempotencyEntry,
        next: &IdempotencyEntry,
        _ttl_ms: u64,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let stored = state.keys.get_mut(&(tenant.clone(), key.to_owned()));
        let stored = stored.filter(|stored| *stored == expected || *stored == next);
        let is_stored = stored.is_some();
        if let Some(stored) = stored {
            *stored = next.clone();
        }
        Ok(is_stored)
    }

    async fn session_info(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        _ttl_ms: u64,
    ) -> Result<Option<SessionInfo>, StoreError> {
        Ok(self.state().session(tenant, session))
    }

    async fn session_turns(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        range: TurnRange,
    ) -> Result<Vec<StoredTurn>, StoreError> {
        let turns = self.state().turns(tenant, session).unwrap_or_default();
        let turns = turns.into_iter().filter(|turn| turn.number >= range.from);
        Ok(turns.take(range.turns_max).collect())
    }

    async fn session_settings(
        &self,
        _tenant: &TenantId,
        _session: &SessionId,
    ) -> Result<Option<StoredSettings>, StoreError> {
        unreachable!("no loop reads settings of sessions")
    }

    async fn session_model(
        &self,
        _tenant: &TenantId,
        _session: &SessionId,
    ) -> Result<Option<String>, StoreError> {
        unreachable!("no loop reads settings of sessions")
    }

    async fn swap_settings(
        &self,
        _swap: Arc<SettingsSwap>,
    ) -> Result<SettingsSwapResult, StoreError> {
        unreachable!("no loop changes settings of sessions")
    }

    async fn list_sessions(
        &self,
        _query: &SessionListQuery,
    ) -> Result<Vec<ListedSession>, StoreError> {
        unreachable!("no loop lists sessions")
    }

    async fn put_session(&self, _put: Arc<SessionPut>) -> Result<SessionPutResult, StoreError> {
        unreachable!("no loop writes sessions")
    }

    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        Ok(self.state().remove_session(tenant, session))
    }

    async fn evict_sessions(&self, _sessions_max: u64, limit: usize) -> Result<u64, StoreError> {
        Ok(delete_page(&self.sessions_beyond_limit_left, limit))
    }

    async fn delete_expired(&self, limit: usize) -> Result<u64, StoreError> {
        Ok(delete_page(&self.expired_records_left, limit))
    }

    async fn renew_presence(
        &self,
        process: &ProcessId,
        presence_ttl_ms: u64,
    ) -> Result<LiveProcesses, StoreError> {
        let now = self.now();
        let mut state = self.state();
        state.present.insert(process.clone(), now);
        let alive: BTreeSet<ProcessId> = state
            .present
            .iter()
            .filter(|(_, seen)| now.since_ms(**seen) < presence_ttl_ms)
            .map(|(process, _)| process.clone())
            .collect();
        Ok(LiveProcesses {
            read_at: now,
            alive: Arc::new(alive),
        })
    }

    async fn end_presence(&self, process: &ProcessId) -> Result<(), StoreError> {
        self.state().present.remove(process);
        Ok(())
    }

    async fn elect_sweeper(&self, process: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError> {
        let now = self.now();
        let mut state = self.state();
        let is_free = match &state.sweeper {
            Some((holder, until)) => holder == process || *until <= now,
            None => true,
        };
        if is_free {
            state.sweeper = Some((process.clone(), now.plus_ms(ttl_ms)));
        }
        Ok(is_free)
    }

    async fn end_term(&self, process: &ProcessId) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.sweeper.as_ref().is_some_and(|(id, _)| id == process) {
            state.sweeper = None;
        }
        Ok(())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let state = self.state();
        let row = |((tenant, class), (live, ended)): (&(TenantId, Class), &(ClassCounts, u64))| {
            TenantClassCounts {
                tenant: tenant.clone(),
                class: *class,
                live: *live,
                ended: *ended,
                oldest_waiting: None,
            }
        };
        Ok(Counts {
            rows: state.counts.iter().map(row).collect(),
            deferred: state.deferred_counts(),
            sessions: state.sessions.len() as u64,
        })
    }

    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        let (sender, notices) = Notices::channel();
        // The streams of other topics end at once, as they do when a connection is lost.
        if topic == Topic::Accounts {
            self.account_watchers.lock().unwrap().push(sender);
        }
        Ok(notices)
    }
}

/// The order in which the store returns heads: by the time of their admission.
fn order(head: &Head) -> (TimeMs, JobId) {
    (head.admitted_at, head.job)
}
