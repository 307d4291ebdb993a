//! The handlers of sessions: write, change, copy, show, list and delete.

pub(crate) mod delete;
pub(crate) mod fork;
pub(crate) mod get;
mod large_session;
pub(crate) mod list;
mod list_query;
mod page;
pub(crate) mod patch;
pub(crate) mod put;
mod settings;
mod view;

pub(crate) use get::SessionView;
pub(crate) use list::SessionList;
pub(crate) use list_query::PARAMETERS as LIST_PARAMETERS;
pub(crate) use page::PARAMETERS as PAGE_PARAMETERS;
pub(crate) use view::SessionSummary;
