//! The worker: takes wakes from the queue, claims jobs, calls providers, commits results. It knows the
//! two ports and no engine.
//!
//! In reading order:
//! - [`worker`]: its life; [`settings`]: its bounds.
//! - `intake`: takes wakes as slots fall free, by the decision in `slots`; `table`: what is being worked on.
//! - `attempt`: claim, call, settle; `backoff`: when a job is tried again; `calls`: what was cancelled.
//! - `drain`: the end.
//! - [`context`]: what of a session is sent.
//! - [`providers`], [`provider`]: who answers.

mod attempt;
mod backoff;
mod calls;
pub mod context;
mod drain;
mod intake;
pub mod provider;
pub mod providers;
pub mod settings;
mod slots;
mod table;
pub mod worker;

pub use providers::Providers;
pub use settings::{RELEASING_MS_MAX, WorkerSettings};
pub use worker::run;
