//! The domain of Forebay, shared by gateways and workers: words, rules, ports, and the loops that both
//! services run over the ports. It knows no database, no broker, no HTTP.
//!
//! In reading order:
//! - [`time`], [`ids`], [`class`], [`turn`], [`job`], [`session`]: the words.
//! - [`lane`]: the rules, as pure functions.
//! - [`wake`], [`queue`], [`store`]: the two ports, which engines implement.
//! - [`lanes`], [`wakes`], [`gauge`], [`presence`], [`sweeper`]: the loops over the ports.
//! - [`member`]: a process of the fleet, which holds all of them.

pub mod class;
pub mod gauge;
pub mod ids;
pub mod job;
pub mod lane;
pub mod lanes;
pub mod member;
pub mod presence;
pub mod queue;
pub mod session;
pub mod store;
pub mod sweeper;
pub mod time;
pub mod turn;
pub mod wake;
pub mod wakes;
