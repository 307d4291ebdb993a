//! The loops that every process of the fleet runs over the store and the queue. The rules are in `forebay_shared::lane`.
//! Engines implement the store and the queue.
//!
//! In reading order:
//! - [`lanes`]: changes a lane by an event, and commits the result.
//! - [`wakes`], [`presence`], [`gauge`], [`accounts`], [`sweeper`]: the loops.
//! - [`byte_budget`], [`memory`]: bound the memory that jobs, requests and responses take.
//! - [`off_async_threads`]: runs a long computation without holding up other tasks.
//! - [`worker_health`]: whether the worker is wedged. [`member_metrics`], [`fleet_metrics`]: the metrics that are read at each scrape;
//!   `account_metrics` and `account_labels`: the metrics of the accounts, and their labels.
//! - [`member`]: a process of the fleet, which owns the lanes and runs the loops.
//!
//! [`log_limit`] bounds the log lines of events that may occur often.

mod account_labels;
mod account_metrics;
pub mod accounts;
pub mod byte_budget;
pub mod fleet_metrics;
pub mod gauge;
pub mod lanes;
pub mod log_limit;
pub mod member;
pub mod member_metrics;
pub mod memory;
pub mod off_async_threads;
pub mod presence;
pub mod sweeper;
pub mod wakes;
pub mod worker_health;
