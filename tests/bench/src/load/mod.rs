//! The load: jobs that are submitted over HTTP, and requests about them.
//!
//! The clients share the machine with the measured processes. So they are as cheap as possible: prepared bytes, one
//! thread, and no HTTP library.

pub(crate) mod closed_loop;
pub(crate) mod connection;
pub(crate) mod job;
pub(crate) mod outcome;
pub(crate) mod own_thread;
pub(crate) mod queues;
pub(crate) mod results;
mod schedule;
pub(crate) mod submits_at_rate;
