//! Sessions: look at one, forget one.

pub(crate) mod delete;
pub(crate) mod get;
