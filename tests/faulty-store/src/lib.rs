//! A store that fails on a test's command and otherwise forwards its calls to a working store.
//!
//! A test sets the [`StoreMode`], which applies to all calls. It can also plan a [`Fault`] for each of the next calls of one
//! method.

mod api_keys;
mod faults;
mod limit_store;
mod store;

pub use faults::{Fault, StoreCall, StoreMode};
pub use store::FaultyStore;
