//! The port to the store that holds everything which must outlive a process.
//!
//! An engine loads and commits; it holds no rule. Every write that changes a lane is one [`Commit`],
//! atomic, with a compare-and-set on the lane's token. All calls are safe to repeat.

mod commit;
mod counts;
mod read;
mod watch;

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::{
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::Request,
    session::Session,
    time::TimeMs,
};

pub use commit::{Commit, Committed, Ended, NewJob, SessionWrite, TimerMove, Token};
pub use counts::{ClassTotals, Counts, TenantClass};
pub use read::{
    Head, HeadFilter, JobRecord, JobState, KeyEntry, KeyOutcome, Loaded, Removed, Timer, Work,
};
pub use watch::{Notices, Topic};

/// A store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is away or slow. The call may have taken effect; it is safe to repeat.
    #[error("the store does not answer")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// It has no room for new jobs; what runs can still finish. Nothing was written.
    #[error("the store is full")]
    Full,
    /// What it holds cannot be read, or it refused a statement. A repeat cannot help.
    #[error("the store failed")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Whether another try can help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// What a renewal of one's presence brings back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The store's clock.
    pub now: TimeMs,
    /// Every process that announced itself within the presence time, this one included.
    pub alive: BTreeSet<ProcessId>,
}

/// Holds lanes, jobs, sessions, timers, keys and presence.
#[async_trait]
pub trait Store: Send + Sync {
    /// The store's clock as this process knows it: its own clock, corrected at each [`announce`].
    ///
    /// [`announce`]: Store::announce
    fn now(&self) -> TimeMs;

    // ---- lanes ----

    /// A lane, with what the records of `jobs` say if they have ended. With `work`, also what a worker
    /// needs to run that job; `None` in the answer if the job is not live.
    async fn load(
        &self,
        lane: &LaneKey,
        jobs: &[JobId],
        work: Option<JobId>,
    ) -> Result<Loaded, StoreError>;

    /// Writes a change of a lane, all of it or nothing, if the lane still has the token that was read
    /// and no record of a job to be admitted exists. A lane that is empty afterwards has no document.
    ///
    /// The commit that ends the last live job of a session starts the session's time to live; the one
    /// that admits a job to a session makes the session if there is none.
    async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError>;

    /// Lanes by what their head does, at most `limit` (1 to 1,000) after `after`, in the order of
    /// their keys.
    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&LaneKey>,
        limit: usize,
    ) -> Result<Vec<Head>, StoreError>;

    // ---- timers ----

    /// Timers that are due at `now`, the earliest first, at most `limit` (1 to 1,000).
    async fn due(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError>;

    /// Moves each timer that is still the one that was read; makes none. Says which it moved.
    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError>;

    // ---- jobs ----

    /// A job of a tenant; `None` for an unknown or forgotten one.
    async fn job(&self, tenant: &TenantId, job: JobId) -> Result<Option<JobRecord>, StoreError>;

    /// What a job asked; `None` for an unknown or forgotten one.
    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError>;

    /// Sets the idempotency key of a tenant if it is not set, for `ttl_ms`; says what it leads to.
    async fn claim_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &KeyEntry,
        ttl_ms: u64,
    ) -> Result<KeyOutcome, StoreError>;

    // ---- sessions ----

    /// A session, and with that its time to live begins anew (`ttl_ms`). `None` for an unknown or
    /// forgotten one.
    async fn session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<Session>, StoreError>;

    /// Forgets a session that has no live jobs, and the hold on its lane.
    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Removed, StoreError>;

    /// Forgets the least recently used sessions without live jobs until at most `sessions_max`
    /// remain, or `limit` have gone. Says how many went.
    async fn evict_sessions(&self, sessions_max: u64, limit: usize) -> Result<u64, StoreError>;

    /// Forgets records, sessions and keys whose time is over, at most `limit` of each. Says how many
    /// went. What is over is not shown even before this.
    async fn prune(&self, limit: usize) -> Result<u64, StoreError>;

    // ---- the fleet ----

    /// Announces this process, corrects [`now`](Store::now), and says who else is there. A process
    /// that has not announced itself for `presence_ms` is left out.
    async fn announce(&self, me: &ProcessId, presence_ms: u64) -> Result<Renewal, StoreError>;

    /// Takes back this process's announcement.
    async fn resign(&self, me: &ProcessId) -> Result<(), StoreError>;

    /// Makes this process the one that sweeps, or renews that, for `ttl_ms`; whether it is.
    async fn elect(&self, me: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError>;

    /// Gives the election up, if it is this process's.
    async fn abdicate(&self, me: &ProcessId) -> Result<(), StoreError>;

    /// The counts of all live jobs, and what has ended so far.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Notices on a topic from now on. A notice may be lost: look again from time to time.
    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError>;
}
