//! A store in memory that keeps the contract of the trait `Store`, follows the paused clock and never fails.
//!
//! The store records every commit. After each commit it checks that every live job has a timer and that the counts are
//! right. It ignores times to live, the limits of a session, and all notices but those of accounts, because no loop depends
//! on them.
//!
//! The tests do not use the embedded store, because its threads and its clock do not follow the paused clock.

mod accounts;
mod commit;
mod read;

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
    job::{Outcome, Request},
    lane::{ClassCounts, Lane, LiveProcesses},
    session::{Conversation, Session},
    store::{
        AccountSwap, Commit, CommitResult, Counts, DeferredHead, Head, HeadFilter,
        IdempotencyEntry, JobRecord, JobState, LaneVersion, LoadedLane, NewJob, Notices,
        SessionRemoval, SetKeyResult, Store, StoreError, StoredAccount, TenantClassCounts, Timer,
        TimerMove, Topic,
    },
    time::TimeMs,
};
use tokio::{sync::mpsc, time::Instant};

/// The time at which the store's clock begins.
const START: TimeMs = TimeMs(1_000_000_000);

/// A store in memory.
pub(crate) struct Memory {
    began: Instant,
    state: Mutex<State>,
    /// The streams of notices of accounts.
    account_watchers: Mutex<Vec<mpsc::Sender<JobId>>>,
    /// How many expired records are left for `delete_expired`.
    pub(crate) expired_records_left: AtomicU64,
    /// How many sessions beyond the limit are left for `evict_sessions`.
    pub(crate) surplus_sessions_left: AtomicU64,
}

/// The state of the store.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) lanes: BTreeMap<LaneKey, (Lane, LaneVersion)>,
    pub(crate) jobs: HashMap<JobId, (Arc<NewJob>, Option<Outcome>)>,
    pub(crate) timers: BTreeMap<JobId, (LaneKey, TimeMs)>,
    pub(crate) sessions: HashMap<(TenantId, SessionId), Conversation>,
    pub(crate) counts: BTreeMap<(TenantId, Class), (ClassCounts, u64)>,
    pub(crate) accounts: BTreeMap<AccountKey, StoredAccount>,
    /// The commits that took effect, in order.
    pub(crate) commits: Vec<Commit>,
    keys: HashMap<(TenantId, String), IdempotencyEntry>,
    present: HashMap<ProcessId, TimeMs>,
    sweeper: Option<(ProcessId, TimeMs)>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            state: Mutex::default(),
            account_watchers: Mutex::default(),
            expired_records_left: AtomicU64::new(0),
            surplus_sessions_left: AtomicU64::new(0),
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
impl Store for Memory {
    fn now(&self) -> TimeMs {
        START.plus_ms(u64::try_from(self.began.elapsed().as_millis()).unwrap())
    }

    async fn load(
        &self,
        lane: &LaneKey,
        jobs: &[JobId],
        run_inputs: Option<JobId>,
    ) -> Result<LoadedLane, StoreError> {
        Ok(self.state().load(lane, jobs, run_inputs))
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError> {
        Ok(self.state().commit(commit))
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&LaneKey>,
        limit: usize,
    ) -> Result<Vec<Head>, StoreError> {
        Ok(self.state().heads(&filter, after, limit))
    }

    async fn accounts(&self) -> Result<Vec<StoredAccount>, StoreError> {
        Ok(self.state().accounts.values().cloned().collect())
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

    async fn job(&self, tenant: &TenantId, job: JobId) -> Result<Option<JobRecord>, StoreError> {
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
                JobState::Live(lane.find(job).unwrap().1.clone())
            }
        };
        let meta = new_job.meta.clone();
        Ok(Some(JobRecord {
            meta,
            state: job_state,
        }))
    }

    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        let state = self.state();
        Ok(state
            .jobs
            .get(&job)
            .map(|(new_job, _)| new_job.request.clone()))
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

    async fn session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        _ttl_ms: u64,
    ) -> Result<Option<Session>, StoreError> {
        Ok(self.state().session(tenant, session))
    }

    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        Ok(self.state().remove_session(tenant, session))
    }

    async fn evict_sessions(&self, _sessions_max: u64, limit: usize) -> Result<u64, StoreError> {
        Ok(delete_page(&self.surplus_sessions_left, limit))
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
