//! The engines: implementations of the two ports of `forebay-shared`, [`Store`] and [`Queue`].
//!
//! An engine stores what it is given and gives it back. It holds no rule about jobs, order or time
//! limits: those are in `forebay_shared::lane`, and whoever commits has applied them already. What an
//! engine does owe is in the ports' documentation, and the conformance suite (`tests/conformance`)
//! holds every engine to it, with the same cases for all.
//!
//! - [`embedded`]: one process, one SQLite file, wakes in memory. Needs nothing else on the machine.
//! - [`distributed`]: a fleet of gateways and workers; the store in Redis, the wakes in RabbitMQ.
//!
//! Nothing outside this crate names a database or a broker, and only the binaries name an engine.
//!
//! [`Store`]: forebay_shared::store::Store
//! [`Queue`]: forebay_shared::queue::Queue

pub mod distributed;
pub mod embedded;
mod record;
mod rejection;
mod rows;
