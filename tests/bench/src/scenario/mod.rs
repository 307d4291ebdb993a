//! The scenarios: what is done to an installation, and what is measured while it is done.

mod backlog;
pub(crate) mod cores;
pub(crate) mod cpu;
mod cpu_time;
pub(crate) mod growth;
pub(crate) mod hot_session;
mod idle;
pub(crate) mod in_flight;
mod latency;
pub(crate) mod raw;
pub(crate) mod spike;
mod steady;
mod submits;
pub(crate) mod throughput;
pub(crate) mod workers;
