//! The loops that every process of the fleet runs over the store and the queue. The rules are in `forebay_shared::lane`.
//! Engines implement the store and the queue.
//!
//! In reading order:
//! - [`lanes`]: changes a lane by an event, and commits the result.
//! - [`wakes`], [`presence`], [`gauge`], [`accounts`], [`sweeper`]: the loops.
//! - [`member`]: a process of the fleet, which owns the lanes and runs the loops.

pub mod accounts;
pub mod gauge;
pub mod lanes;
pub mod member;
pub mod presence;
pub mod sweeper;
pub mod wakes;
