//! The handlers of sessions: show and delete.

pub(crate) mod delete;
pub(crate) mod get;
mod large_session;
mod page;

pub(crate) use get::SessionView;
pub(crate) use page::LIMIT_MAX;
