//! The trait [`Store`], which holds all state that must outlive a process.
//!
//! An engine loads and commits. The rules of the lane protocol are not part of an engine. Every change of live jobs is one
//! [`Commit`], which is atomic and compares the lane's version first. All calls are safe to repeat.

mod account;
mod api_keys;
mod commit;
mod counts;
mod deferred;
mod listing;
mod read;
mod session_change;
mod session_listing;
mod tenant_limits;
mod version;
mod watch;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    account::AccountKey,
    class::Class,
    document::{NewerDocument, ReadError},
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::Request,
    lane::LiveProcesses,
    session::{Session, SessionInfo, StoredTurn},
    session_settings::StoredSettings,
    time::TimeMs,
};

pub use account::{
    ACCOUNTS_MAX, AccountSwap, DeferredCount, DeferredHead, StoredAccount, StoredAccounts,
    UnreadableAccount,
};
pub use api_keys::{
    API_KEYS_MAX, ApiKeyStore, ApiKeysVersion, StoredApiKey, StoredApiKeys, UnreadableApiKey,
};
pub use commit::{Commit, CommitResult, EndedJob, NewJob, RepairedJob, SessionWrite, TimerMove};
pub use counts::{ClassTotals, Counts, RECENT_COUNTS_MS, RecentCounts, TenantClassCounts};
pub use deferred::{BehindChange, DeferredChange, DeferredEntry};
pub use listing::{ListPosition, ListQuery};
pub use read::{
    FoundJob, Head, HeadFilter, HeadPage, INLINE_BYTES_MAX, IdempotencyEntry, JobRecord,
    JobRemoval, JobState, LaneHead, LiveJob, LoadedLane, LoadedRunInputs, REMOVED_JOB_MS,
    REMOVED_KEYED_JOB_MS, RunInputs, SessionRemoval, SetKeyResult, Timer, TurnRange,
};
pub use session_change::{SessionPut, SessionPutResult, SettingsSwap, SettingsSwapResult};
pub use session_listing::{ListedSession, SessionListQuery, SessionPosition};
pub use tenant_limits::{
    LIMITED_TENANTS_MAX, LimitStore, StoredTenantLimits, StoredUsage, UsageSwap,
};
pub use version::{AccountVersion, LaneVersion, LimitsVersion, SessionWriteId, UsageVersion};
pub use watch::{Notices, Topic};

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store does not respond, or not in time. The call may have taken effect. It is safe to repeat.
    #[error("the store does not respond")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The call is larger than the store accepts. Nothing was written. A repeat cannot help.
    #[error("the change is larger than the store accepts")]
    TooLarge,
    /// The store has no space for new jobs. Nothing was written. Jobs that were accepted before can still finish.
    #[error("the store has no space for new jobs")]
    Full,
    /// A commit replaces the turns from a number on, and the session has no turn with this number. Nothing was written.
    #[error("the session no longer has the turn to replace")]
    TurnGone,
    /// The store holds a document that only a newer release may act on. A process of that release can make the call.
    #[error("a newer release wrote a document in the store")]
    Newer(#[source] NewerDocument),
    /// Stored data cannot be read, or the store rejected a statement. A repeat cannot help.
    #[error("stored data cannot be read, or the store rejected a statement")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Newer(newer) => Self::Newer(newer),
            ReadError::Invalid { .. } => Self::Broken(Box::new(error)),
        }
    }
}

impl StoreError {
    /// Whether a repeat of the call can help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Holds lanes, jobs, sessions, timers, idempotency keys, accounts of providers and the presence of processes. The traits that it
/// extends hold API keys ([`ApiKeyStore`]) and the limits of tenants ([`LimitStore`]).
#[async_trait]
pub trait Store: ApiKeyStore + LimitStore {
    /// The store's clock, as this process knows it. It never goes back, and it advances as fast as a monotonic clock: a step
    /// of the system's clock does not change it. All times that are stored or compared are times of this clock.
    ///
    /// A store that several processes use corrects the clock of each process at each [`renew_presence`].
    ///
    /// [`renew_presence`]: Store::renew_presence
    fn now(&self) -> TimeMs;

    /// Whether the store refuses new jobs because its disk or its memory is full, as this process knows it. Accepted jobs can
    /// finish. A commit that admits a job may find the store full before this returns `true`.
    fn is_full(&self) -> bool;

    /// The time to show to a user for a time of the store's clock. The two differ after a step of the system's clock.
    fn to_utc(&self, time: TimeMs) -> TimeMs;

    // ---- lanes ----

    /// Reads a lane, and the outcomes of the jobs in `outcomes_of` that have ended. With `run_inputs_of`, also returns the run
    /// inputs of that job if it is live, or only their size ([`LoadedRunInputs`]).
    async fn load(
        &self,
        lane: &LaneKey,
        outcomes_of: &[JobId],
        run_inputs_of: Option<JobId>,
    ) -> Result<LoadedLane, StoreError>;

    /// Reads what a worker needs to run a job, whatever its size. The caller has claimed the job. `None` if the job is not
    /// live.
    async fn run_inputs(&self, lane: &LaneKey, job: JobId)
    -> Result<Option<RunInputs>, StoreError>;

    /// Writes a change of a lane: all of it, or nothing. The change is written if the lane still has the expected version,
    /// none of the records to create exists, and each repaired job still has its outcome. A commit that needs run inputs has
    /// further conditions ([`Commit::needs_run_inputs`]). A lane that is empty afterwards has no document.
    ///
    /// The commit that ends the last live job of a session starts the session's time to live. The commit that admits a
    /// job to a session creates the session if there is none.
    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError>;

    /// Returns the heads that match the filter, in a fixed order. Each store chooses its order. If the queue of the engine has
    /// a capacity, it is the order of admission. Begins after the head `after`, which need not be a head any more, and returns at
    /// most `limit` heads (1 to 1,000).
    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&Head>,
        limit: usize,
    ) -> Result<HeadPage, StoreError>;

    // ---- accounts of providers ----

    /// Returns all accounts, in no order; at most [`ACCOUNTS_MAX`], unreadable ones included.
    async fn accounts(&self) -> Result<StoredAccounts, StoreError>;

    /// Writes or removes an account, if it still has the expected version. Returns whether it was written. A swap whose
    /// response was lost can be repeated: it returns `true` if the account has the swap's own version. A swap that would
    /// create more than [`ACCOUNTS_MAX`] accounts returns `false`. Each swap that returns `true` sends a notice on [`Topic::Accounts`].
    async fn swap_account(&self, swap: &AccountSwap) -> Result<bool, StoreError>;

    /// Returns the deferred heads of an account and a class that were admitted first, at most `limit` (1 to 1,000).
    async fn deferred_heads(
        &self,
        account: &AccountKey,
        class: Class,
        limit: usize,
    ) -> Result<Vec<DeferredHead>, StoreError>;

    // ---- timers ----

    /// Returns the earliest timers that are due at `now`, in the order of their times. Returns at most `limit` timers (1 to
    /// 1,000). Timers that the store cannot return do not count towards the limit, for example those of jobs whose records were
    /// lost. The store removes or postpones them.
    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError>;

    /// Moves each timer that still has the time that was read. Returns for each timer whether it moved. Creates no timer.
    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError>;

    /// Removes each timer that still has the time that was read and whose job is not in its lane. Returns for each timer
    /// whether it was removed.
    async fn remove_orphan_timers(&self, timers: &[Timer]) -> Result<Vec<bool>, StoreError>;

    // ---- jobs ----

    /// Reads a job of a tenant, if its outcome has at most `outcome_bytes_max` bytes as stored. `None` if the job is unknown
    /// or has been deleted.
    async fn find_job(
        &self,
        tenant: &TenantId,
        job: JobId,
        outcome_bytes_max: u64,
    ) -> Result<Option<FoundJob>, StoreError>;

    /// Reads a job of a tenant, whatever its size. `None` if it is unknown or has been deleted.
    async fn job(&self, tenant: &TenantId, job: JobId) -> Result<Option<JobRecord>, StoreError> {
        match self.find_job(tenant, job, u64::MAX).await? {
            Some(FoundJob::Record(record)) => Ok(Some(*record)),
            Some(FoundJob::LargeOutcome { .. }) | None => Ok(None),
        }
    }

    /// Erases a job of a tenant that has ended: its metadata, its request and its outcome. All reads then return nothing. Only the
    /// job's id and the summary of its outcome remain, with a fence that is higher by 1. They remain until the `keep_until` of the
    /// job, and for at least [`REMOVED_JOB_MS`]. So a repeated admission, a late attempt and a repair that was begun before do not make the
    /// job live again.
    async fn remove_job(&self, tenant: &TenantId, job: JobId) -> Result<JobRemoval, StoreError>;

    /// Whether the job was removed, and its id remains.
    async fn is_job_removed(&self, job: JobId) -> Result<bool, StoreError>;

    /// Returns positions of the list of a tenant's jobs, in the order that the query asks for, without gaps. May return fewer than
    /// the limit although others follow, but none only at the end of the list. A position may belong to a job whose record has expired.
    /// A store that processes of several releases use does not list the jobs that an older release has admitted.
    async fn list_jobs(&self, query: &ListQuery) -> Result<Vec<ListPosition>, StoreError>;

    /// Reads the request of a job. `None` if the job is unknown or has been deleted.
    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError>;

    /// Returns the size of each job's request as stored, in bytes. 0 if the job is unknown or has been deleted.
    async fn request_bytes(&self, jobs: &[JobId]) -> Result<Vec<u64>, StoreError>;

    /// Sets an idempotency key of a tenant for `ttl_ms`, if it is not set. Otherwise returns its entry. A store may measure the
    /// time to live by its server's clock, which can differ from the store's clock by up to a second.
    async fn set_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<SetKeyResult, StoreError>;

    /// Reads the entry of an idempotency key. `None` if the key is not set or has expired.
    async fn idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<IdempotencyEntry>, StoreError>;

    /// Replaces the entry of an idempotency key and keeps the key for `ttl_ms` from now on, if its entry still is
    /// `expected`. Returns whether the entry is `next` now.
    async fn swap_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        expected: &IdempotencyEntry,
        next: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<bool, StoreError>;

    // ---- sessions ----

    /// Reads a session without its turns, and restarts its time to live (`ttl_ms`). `None` if it is unknown or has been
    /// deleted. Returns the turns and the settings too if they are small.
    async fn session_info(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<SessionInfo>, StoreError>;

    /// Reads turns of a session, oldest first. Returns none at the end of the session, and none if the session is unknown or has
    /// been deleted.
    async fn session_turns(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        range: TurnRange,
    ) -> Result<Vec<StoredTurn>, StoreError>;

    /// Reads a session with all its turns, whatever its size, and restarts its time to live (`ttl_ms`). `None` if it is
    /// unknown or has been deleted.
    async fn session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<Session>, StoreError> {
        let Some(info) = self.session_info(tenant, session, ttl_ms).await? else {
            return Ok(None);
        };
        let stored = match info.turns {
            Some(turns) => turns,
            None => {
                let all = TurnRange {
                    from: 0,
                    turns_max: usize::MAX,
                    bytes_max: u64::MAX,
                };
                self.session_turns(tenant, session, all).await?
            }
        };
        let turns = stored.iter().map(StoredTurn::parse);
        Ok(Some(Session {
            turns: turns.collect::<Result<_, _>>()?,
            created_at: info.created_at,
            updated_at: info.updated_at,
            expires_at: info.expires_at,
            live_jobs: info.live_jobs,
        }))
    }

    /// Reads what a client has set for a session, whatever its size. `None` if the session is unknown or has been deleted. This does
    /// not count as a use of the session.
    async fn session_settings(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<StoredSettings>, StoreError>;

    /// Reads the default model of a session. `None` if it has none, or if the session is unknown or has been deleted. This does not
    /// count as a use of the session.
    async fn session_model(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<String>, StoreError>;

    /// Replaces the settings of a session, if they are as expected, and restarts its time to live. The session may have live jobs. A
    /// call whose response was lost can be repeated.
    async fn swap_settings(
        &self,
        swap: Arc<SettingsSwap>,
    ) -> Result<SettingsSwapResult, StoreError>;

    /// Returns a part of the list of a tenant's sessions, in the order that the query asks for, without gaps. May return fewer
    /// than the limit although others follow, but none only at the end of the list. This does not count as a use of the sessions.
    ///
    /// A store that processes of several releases use does not list a session that an older release has created. It lists the session
    /// once a client writes it, or once a job is admitted to it while it has no live jobs.
    async fn list_sessions(
        &self,
        query: &SessionListQuery,
    ) -> Result<Vec<ListedSession>, StoreError>;

    /// Creates a session, or replaces a session without live jobs as a whole. Starts its time to live, and removes the hold on its lane. A
    /// call whose response was lost can be repeated: it returns the result of the first one.
    async fn put_session(&self, put: Arc<SessionPut>) -> Result<SessionPutResult, StoreError>;

    /// Removes a session that has no live jobs, and the hold on its lane.
    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError>;

    /// Removes the least recently used sessions without live jobs until at most `sessions_max` remain, or until `limit`
    /// were removed. Returns how many were removed.
    async fn evict_sessions(&self, sessions_max: u64, limit: usize) -> Result<u64, StoreError>;

    /// Deletes records, sessions and keys that have expired, at most `limit` of each. Returns how many were deleted.
    /// Reads return none of them even before the deletion.
    async fn delete_expired(&self, limit: usize) -> Result<u64, StoreError>;

    // ---- processes ----

    /// Renews the presence of this process, and corrects [`now`](Store::now). Returns every process whose presence was
    /// renewed within the last `presence_ttl_ms`, this process included.
    async fn renew_presence(
        &self,
        process: &ProcessId,
        presence_ttl_ms: u64,
    ) -> Result<LiveProcesses, StoreError>;

    /// Ends the presence of this process, so that it counts as gone.
    async fn end_presence(&self, process: &ProcessId) -> Result<(), StoreError>;

    /// Elects this process as the sweeper for `ttl_ms`, or extends its term. Does nothing if another process is the
    /// sweeper. Returns whether this process is the sweeper.
    async fn elect_sweeper(&self, process: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError>;

    /// Ends this process's term as the sweeper, if it has one.
    async fn end_term(&self, process: &ProcessId) -> Result<(), StoreError>;

    /// Reads the counts of all live and ended jobs.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Returns counts that a process of the fleet has read lately, or reads them. While several processes call this once in
    /// [`RECENT_COUNTS_MS`], one of them reads the counts for all, so the counts are seldom much older.
    async fn recent_counts(&self) -> Result<RecentCounts, StoreError> {
        let at = self.now();
        let counts = self.counts().await?;
        Ok(RecentCounts {
            counts,
            at,
            age: Duration::ZERO,
            took: Duration::ZERO,
        })
    }

    /// Watches a topic from now on. A notice may be lost, so the caller must also read the state from time to time.
    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError>;
}
