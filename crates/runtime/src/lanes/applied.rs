//! The result of a change that was made.

use forebay_shared::{
    store::{LaneHead, RunInputs},
    time::TimeMs,
};

/// The result of a change that was made.
#[derive(Debug)]
pub enum Applied {
    /// The change is committed, by this request or by an earlier one.
    Done,
    /// The job is admitted.
    Admitted {
        /// How many jobs of the lane come before it.
        ahead: usize,
        /// The first job of the lane.
        head: LaneHead,
    },
    /// The retry is committed, by this request or by an earlier one. The job has used up its tries, or it has ended otherwise
    /// meanwhile, so it is not tried again.
    NotTriedAgain,
    /// The claim was granted.
    Claimed {
        /// The fence, which every later change of this attempt must carry.
        fence: u64,
        /// The time limit of the claim. When it has passed, the sweeper takes the job from the worker.
        until: TimeMs,
        /// The number of this attempt at the job, counted from 1.
        attempt: u32,
        /// How many tries of the job have failed before.
        tries: u32,
        /// When the job expires.
        expires_at: TimeMs,
        /// What the worker needs to run the job. `None` if it is large or could not be read: then the worker reads it from the store.
        run_inputs: Option<Box<RunInputs>>,
    },
    /// The claim was not made: the run inputs of the job have this many bytes as stored, more than the claim allows. Otherwise the
    /// claim would have been granted.
    NeedsBytes(u64),
    /// The claim was not granted, because the job may not run yet.
    NotDue,
}
