//! A store that fails as a test says, in front of a store that works.
//!
//! A test sets the [`StoreMode`] for all calls, and a [`Fault`] for single calls of one kind. Everything else goes to the
//! store behind.

mod faults;
mod store;

pub use faults::{Fault, StoreCall, StoreMode};
pub use store::FaultyStore;
