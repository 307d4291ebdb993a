//! The scenarios: what is done to an installation, and what is measured while it is done.

pub(crate) mod backlog;
pub(crate) mod cores;
pub(crate) mod cpu;
pub(crate) mod idle;
pub(crate) mod in_flight;
