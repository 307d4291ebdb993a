//! The job that an attempt has claimed.

use forebay_runtime::lanes::ClaimKey;
use forebay_shared::{
    ids::{JobId, LaneKey},
    time::TimeMs,
};
use forebay_telemetry::Span;
use tokio::time::Instant;

/// A job that this worker has claimed.
pub(super) struct ClaimedJob {
    /// The lane of the job.
    pub(super) lane: LaneKey,
    /// The id of the job.
    pub(super) job: JobId,
    /// The fence that the claim was granted.
    pub(super) fence: u64,
    /// The time limit of the claim. The attempt must have settled the job by then.
    pub(super) claimed_until: TimeMs,
    /// The deadline of the job.
    pub(super) expires_at: TimeMs,
    /// The number of the attempt, counted from 1.
    pub(super) attempt: u32,
    /// The number of failed tries before this attempt.
    pub(super) tries: u32,
    /// When the attempt began.
    pub(super) began: Instant,
    /// The span of the attempt.
    pub(super) span: Span,
}

impl ClaimedJob {
    /// The key of the claim, for the changes that settle the job.
    pub(super) fn claim_key(&self) -> ClaimKey {
        ClaimKey {
            lane: self.lane.clone(),
            job: self.job,
            fence: self.fence,
        }
    }
}
