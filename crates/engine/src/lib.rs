//! The engines: implementations of the two traits [`Store`] and [`Queue`] of `forebay-shared`.
//!
//! An engine stores data and returns it. It has no rules about jobs, order or deadlines: the caller has applied
//! `forebay_shared::lane` before it commits. The documentation of the traits defines what an engine must do. The
//! conformance suite (`tests/conformance`) runs the same test cases against every engine.
//!
//! - [`embedded`]: for one process. The store is a SQLite file, and the queue is in memory.
//! - [`distributed`]: for a fleet of gateways and workers. The store is Redis, and the queue is RabbitMQ.
//!
//! No other crate names a database or a broker. Only the binaries name an engine.
//!
//! [`Store`]: forebay_shared::store::Store
//! [`Queue`]: forebay_shared::queue::Queue

mod clock_state;
pub mod distributed;
pub mod embedded;
mod off_async_threads;
mod record;
mod rejection;
mod rows;
mod stored_limits;
