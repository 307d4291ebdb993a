//! Tests of the loops while the store or the queue fails.
//!
//! All tests run on tokio's paused clock, so no real time passes: whenever no task can run, the clock jumps to the next
//! timer. The store's clock follows the paused clock. The store is in memory ([`store`]) and keeps the contract of the
//! trait `Store`. The tested process reaches the store through a `FaultyStore`. Other processes use the store directly.

mod accounts;
mod gauge;
mod lanes;
mod member;
mod presence;
mod queue;
mod scene;
mod store;
mod store_metrics;
mod sweeper;
mod wakes;
