//! The handlers of sessions: show and delete.

pub(crate) mod delete;
pub(crate) mod get;
mod large_session;
mod page;
