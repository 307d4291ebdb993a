//! A store that fails on a test's command and otherwise forwards its calls to a working store.
//!
//! A test sets the [`StoreMode`] of all calls, and plans a [`Fault`] for each of the next calls of one method.

mod faults;
mod store;

pub use faults::{Fault, StoreCall, StoreMode};
pub use store::FaultyStore;
