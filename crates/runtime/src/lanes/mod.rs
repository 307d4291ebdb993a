//! The one way to change a lane: load it, apply events, commit the result by compare-and-set, wake the head.
//!
//! A process has at most one commit in flight per lane. Changes that arrive meanwhile are batched into the next
//! commit. A separate task makes the commits, so a commit in flight continues when its caller goes away.
//!
//! A change passes through these files in this order:
//! - `change`: a change, with the documents that its commit writes.
//! - `handle`: [`Lanes`]; queues the changes of each lane.
//! - `committer`: makes one commit of a batch of changes and answers the callers.
//! - `draft`: gathers the effects of the batch. Pure.
//!
//! The committer uses `cache`, `retry` and `head_wakes`.
//!
//! The rules themselves are in `forebay_shared::lane`.

mod cache;
mod change;
mod committer;
mod draft;
mod error;
mod handle;
mod head_wakes;
mod retry;

pub use change::{
    AdmitOptions, Applied, AttemptOutput, ClaimKey, LaneChange, ProviderWait, RetryOptions,
};
pub use draft::LaneSettings;
pub use error::LaneError;
pub use handle::Lanes;
