//! The domain of Forebay, shared by gateways and workers: words, messages, rules and ports. It performs
//! no I/O and knows no database, no broker, no HTTP.
//!
//! In reading order:
//! - [`time`], [`ids`], [`class`], [`turn`], [`job`], [`session`]: the words.
//! - [`secret`]: a key, in a type that does not print.
//! - [`document`]: how stored documents of several releases stand side by side.
//! - [`lane`]: the rules, as pure functions.
//! - [`wake`], [`queue`], [`store`]: the job message and the two ports, which engines implement.
//! - [`backoff`]: the delay between tries.

pub mod backoff;
pub mod class;
pub mod document;
pub mod ids;
pub mod job;
pub mod lane;
pub mod queue;
pub mod secret;
pub mod session;
pub mod store;
pub mod time;
pub mod turn;
pub mod wake;
