//! The loops that every process of the fleet runs over the two ports, whatever its role. The rules are in
//! `forebay_shared::lane`; the ports are implemented by engines.
//!
//! In reading order:
//! - [`lanes`]: applies an event to a lane and commits the result.
//! - [`wakes`], [`presence`], [`gauge`], [`sweeper`]: the four loops.
//! - [`member`]: a process of the fleet, which owns all of them.

pub mod gauge;
pub mod lanes;
pub mod member;
pub mod presence;
pub mod sweeper;
pub mod wakes;
