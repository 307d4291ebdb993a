//! The accounts of the providers, as this process knows them: which providers may be called now.
//!
//! - `handle`: [`Accounts`]; what the process knows of the accounts, and the events that it reports.
//! - `permits`: takes and gives back the permits of calls and of the sweeper's wakes.
//! - `changes`: applies events to accounts by compare-and-set.
//! - `waiting_events`: the events that are not applied yet.
//! - `cache`: the accounts of the store as of the last read or change.
//! - `refresh`: the loop that reads them again after a notice, and once a second.
//! - `recent_answers`: remembers the latest answers of providers and models that are not limited.
//! - `answers`: gathers the answers of calls, so that many of them cost one change of the store.
//! - `calls`: the calls of this process, which correct the store's count of calls in flight.
//!
//! The rules are in `forebay_shared::account`. While no account is limited, only the loop reads the store: once a second.

mod answers;
mod cache;
mod calls;
mod changes;
mod handle;
mod permits;
mod recent_answers;
mod refresh;
mod waiting_events;

pub use handle::{Accounts, Denied};
pub use permits::{CallPermits, HeldPermit};
pub use refresh::AccountsLoop;
