//! The faults of single calls, the methods that they apply to, and the modes of the whole store.

use futures_util::future::BoxFuture;

/// A method of the trait `Store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreCall {
    /// `load`.
    Load,
    /// `run_inputs`.
    RunInputs,
    /// `commit`.
    Commit,
    /// `heads`.
    Heads,
    /// `accounts`.
    Accounts,
    /// `swap_account`.
    SwapAccount,
    /// `api_keys`.
    ApiKeys,
    /// `add_api_key`.
    AddApiKey,
    /// `remove_api_key`.
    RemoveApiKey,
    /// `record_api_key_uses`.
    RecordApiKeyUses,
    /// `deferred_heads`.
    DeferredHeads,
    /// `due_timers`.
    DueTimers,
    /// `move_timers`.
    MoveTimers,
    /// `remove_orphan_timers`.
    RemoveOrphanTimers,
    /// `find_job`, and `job`, which calls it.
    Job,
    /// `remove_job`.
    RemoveJob,
    /// `is_job_removed`.
    IsJobRemoved,
    /// `list_jobs`.
    ListJobs,
    /// `request`.
    Request,
    /// `request_bytes`.
    RequestBytes,
    /// `set_idempotency_key`.
    SetIdempotencyKey,
    /// `idempotency_key`.
    IdempotencyKey,
    /// `swap_idempotency_key`.
    SwapIdempotencyKey,
    /// `session_info`, and `session`, which calls it.
    SessionInfo,
    /// `session_turns`.
    SessionTurns,
    /// `session_settings`.
    SessionSettings,
    /// `session_model`.
    SessionModel,
    /// `swap_settings`.
    SwapSettings,
    /// `list_sessions`.
    ListSessions,
    /// `put_session`.
    PutSession,
    /// `remove_session`.
    RemoveSession,
    /// `evict_sessions`.
    EvictSessions,
    /// `delete_expired`.
    DeleteExpired,
    /// `renew_presence`.
    RenewPresence,
    /// `end_presence`.
    EndPresence,
    /// `elect_sweeper`.
    ElectSweeper,
    /// `end_term`.
    EndTerm,
    /// `counts` and `recent_counts`.
    Counts,
    /// `watch`.
    Watch,
    /// `tenant_usage`.
    TenantUsage,
    /// `swap_tenant_usage`.
    SwapTenantUsage,
    /// `live_jobs_of`.
    LiveJobsOf,
    /// `tenant_limits` and `tenant_limits_of`.
    TenantLimits,
    /// `set_tenant_limits`.
    SetTenantLimits,
}

/// How the store handles all calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// Every call goes to the working store.
    Up,
    /// Every call fails immediately and has no effect.
    Down,
    /// Every call waits until the mode changes.
    Hanging,
    /// Commits that admit a job are rejected because the store is full, and `is_full` returns true.
    Full,
}

/// The fault of a single call.
pub enum Fault {
    /// The call takes effect, and its response is lost.
    LoseResponse,
    /// The call takes effect, its response is lost, and the store goes down.
    LoseResponseAndGoDown,
    /// The call fails because the store is full, and has no effect.
    Full,
    /// The call fails because what it writes is larger than the store accepts, and has no effect.
    TooLarge,
    /// The call fails and has no effect. A retry cannot help.
    Broken,
    /// The call panics.
    Panic,
    /// The call waits for this future and then goes to the working store.
    After(BoxFuture<'static, ()>),
    /// The call takes effect, and its response waits for this future.
    RespondAfter(BoxFuture<'static, ()>),
}
