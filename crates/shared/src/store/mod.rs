//! The trait [`Store`], which holds all state that must outlive a process.
//!
//! An engine loads and commits. The rules of the lane protocol are not part of an engine. Every write to a lane is one
//! [`Commit`], which is atomic and compares the lane's version first. All calls are safe to repeat.

mod account;
mod commit;
mod counts;
mod deferred;
mod read;
mod version;
mod watch;

use async_trait::async_trait;

use crate::{
    account::AccountKey,
    class::Class,
    document::{NewerDocument, ReadError},
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::Request,
    lane::LiveProcesses,
    session::Session,
    time::TimeMs,
};

pub use account::{
    ACCOUNTS_MAX, AccountSwap, AccountVersion, DeferredCount, DeferredHead, StoredAccount,
};
pub use commit::{Commit, CommitResult, EndedJob, NewJob, SessionWrite, TimerMove};
pub use counts::{ClassTotals, Counts, TenantClassCounts};
pub use deferred::{DeferredChange, DeferredEntry};
pub use read::{
    Head, HeadFilter, IdempotencyEntry, JobRecord, JobState, LoadedLane, RunInputs, SessionRemoval,
    SetKeyResult, Timer,
};
pub use version::LaneVersion;
pub use watch::{Notices, Topic};

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store does not respond, or not in time. The call may have taken effect. It is safe to repeat.
    #[error("the store does not respond")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The store has no space for new jobs. Nothing was written. Jobs that were accepted before can still finish.
    #[error("the store has no space for new jobs")]
    Full,
    /// The store holds a document that only a newer release may act on. A process of that release can make the call.
    #[error("a newer release wrote a document in the store")]
    Newer(#[source] NewerDocument),
    /// Stored data cannot be read, or the store rejected a statement. A retry cannot help.
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
    /// Whether a retry can help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Holds lanes, jobs, sessions, timers, idempotency keys and the presence of processes.
#[async_trait]
pub trait Store: Send + Sync {
    /// The store's clock, as this process knows it: its own clock, corrected at each [`renew_presence`].
    ///
    /// [`renew_presence`]: Store::renew_presence
    fn now(&self) -> TimeMs;

    // ---- lanes ----

    /// Reads a lane, and the outcomes of the jobs in `outcomes_of` that have ended. With `run_inputs_of`, also returns what a
    /// worker needs to run that job, if the job is live.
    async fn load(
        &self,
        lane: &LaneKey,
        outcomes_of: &[JobId],
        run_inputs_of: Option<JobId>,
    ) -> Result<LoadedLane, StoreError>;

    /// Writes a change of a lane: all of it, or nothing. The change is written if the lane still has the expected version
    /// and none of the records to create exists. A lane that is empty afterwards has no document.
    ///
    /// The commit that ends the last live job of a session starts the session's time to live. The commit that admits a
    /// job to a session creates the session if there is none.
    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError>;

    /// Returns the heads that match the filter, in a fixed order of the lanes. Each store chooses its order. Begins after the
    /// lane `after`, and returns at most `limit` heads (1 to 1,000).
    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&LaneKey>,
        limit: usize,
    ) -> Result<Vec<Head>, StoreError>;

    // ---- accounts of providers ----

    /// Returns all accounts, in no order; at most [`ACCOUNTS_MAX`].
    async fn accounts(&self) -> Result<Vec<StoredAccount>, StoreError>;

    /// Writes or removes an account, if it still has the expected version. Returns whether it was written. A swap whose
    /// response was lost can be repeated: it returns `true` if the account has the swap's own version. A swap that would
    /// create more than [`ACCOUNTS_MAX`] accounts returns `false`. Each swap is a notice on [`Topic::Accounts`].
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
    /// 1,000).
    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError>;

    /// Moves each timer that still has the time that was read. Returns for each timer whether it moved. Creates no timer.
    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError>;

    // ---- jobs ----

    /// Reads a job of a tenant. `None` if it is unknown or has been deleted.
    async fn job(&self, tenant: &TenantId, job: JobId) -> Result<Option<JobRecord>, StoreError>;

    /// Reads the request of a job. `None` if the job is unknown or has been deleted.
    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError>;

    /// Sets an idempotency key of a tenant for `ttl_ms`, if it is not set. Otherwise returns its entry.
    async fn set_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<SetKeyResult, StoreError>;

    // ---- sessions ----

    /// Reads a session and restarts its time to live (`ttl_ms`). `None` if it is unknown or has been deleted.
    async fn session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<Session>, StoreError>;

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

    /// Watches a topic from now on. A notice may be lost, so the caller must also read the state from time to time.
    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError>;
}
