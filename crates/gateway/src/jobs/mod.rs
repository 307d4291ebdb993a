//! The handlers of jobs: submit, show, wait, list, cancel, retry, delete.

mod admission_permits;
mod admit;
pub(crate) mod cancel;
pub(crate) mod delete;
pub(crate) mod get;
mod job_changes;
pub(crate) mod list;
mod list_query;
mod list_view;
mod queue_position;
mod replaced_turn;
pub(crate) mod retry;
pub(crate) mod submit;
mod view;
mod wait;

pub(crate) use list_query::PARAMETERS as LIST_PARAMETERS;
pub(crate) use list_view::JobList;
pub(crate) use view::JobView;
pub(crate) use wait::{PARAMETERS as WAIT_PARAMETERS, WAIT_S_MAX};
