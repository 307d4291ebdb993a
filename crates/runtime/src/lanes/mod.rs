//! The one way to change a lane: load it, apply events, commit the result by compare-and-set, wake the head.
//!
//! A process has at most one commit in flight per lane. Changes that arrive meanwhile are batched into the next
//! commit. A separate task makes the commits, so a commit in flight continues when its caller goes away.
//!
//! A change passes through these files in this order:
//! - `change`: a change, with the documents that its commit writes (`change_data`); `applied`: its result.
//! - `handle`: [`Lanes`]; queues the changes of each lane.
//! - `committer`: makes one commit of a batch of changes and answers the callers.
//! - `draft`: gathers the effects of the batch. Pure.
//!
//! The committer uses `cache`, `retry`, `head_wakes` and `failed_jobs`.
//!
//! The rules themselves are in `forebay_shared::lane`.

mod applied;
mod cache;
mod change;
mod change_data;
mod committer;
mod draft;
mod error;
mod failed_jobs;
mod handle;
mod head_wakes;
mod retry;

pub use applied::Applied;
pub use change::LaneChange;
pub use change_data::{AdmitOptions, AttemptOutput, ClaimKey, ProviderWait, RetryOptions};
pub use draft::LaneSettings;
pub use error::LaneError;
pub use handle::Lanes;
