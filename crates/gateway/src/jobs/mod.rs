//! The handlers of jobs: submit, show, wait, cancel, retry, delete.

mod admit;
pub(crate) mod cancel;
pub(crate) mod delete;
pub(crate) mod get;
mod job_changes;
mod queue_place;
pub(crate) mod retry;
pub(crate) mod submit;
mod view;
mod wait;

pub(crate) use view::JobView;
pub(crate) use wait::WAIT_S_MAX;
