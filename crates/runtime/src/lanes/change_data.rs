//! What a change of a lane carries: the claim that it settles, its options, and the results of an attempt.

use forebay_shared::{
    account::AccountKey,
    ids::{JobId, LaneKey},
    job::{JobError, Reply},
    lane::IfBusy,
    session::TokenMeasure,
    time::TimeMs,
    turn::Turn,
};

/// A granted claim. Its fence decides whether it may still settle the job.
#[derive(Clone, Debug)]
pub struct ClaimKey {
    /// The lane of the job.
    pub lane: LaneKey,
    /// The claimed job.
    pub job: JobId,
    /// The fence that the claim returned.
    pub fence: u64,
}

/// How a job enters its lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmitOptions {
    /// Whether the job's input consists of tool results.
    pub is_tool_results: bool,
    /// What to do if the session has live jobs.
    pub if_busy: IfBusy,
}

/// How a job is tried again.
#[derive(Clone, Debug)]
pub struct RetryOptions {
    /// When the next attempt may begin.
    pub not_before: TimeMs,
    /// The job fails after this many failed tries.
    pub tries_max: u32,
    /// Why this try failed.
    pub error: JobError,
    /// The provider that was called, if one was.
    pub provider: Option<String>,
}

/// What a deferred job waits for.
#[derive(Clone, Debug)]
pub struct ProviderWait {
    /// The account that has no permit.
    pub account: AccountKey,
    /// The provider's last error.
    pub error: JobError,
}

/// What a successful attempt produced.
#[derive(Clone, Debug)]
pub struct AttemptOutput {
    /// The model's reply.
    pub reply: Reply,
    /// The provider that replied. `None` if the job completes without a call.
    pub provider: Option<String>,
    /// The number of the first turn of the session that `turns` replace. They replace all later turns too.
    pub replace_from_turn: Option<u64>,
    /// The turns to append to the session, in this order: a result for each tool call that has none, the job's input,
    /// the reply.
    pub turns: Vec<Turn>,
    /// The provider's token count of the turns that were sent.
    pub token_measure: Option<TokenMeasure>,
}
