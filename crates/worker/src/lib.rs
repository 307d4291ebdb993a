//! The worker: takes wakes from the queue, claims jobs, calls providers and commits the results. It
//! depends on the traits of store and queue, and on no engine.
//!
//! In reading order:
//! - `worker` starts and stops a worker; `settings` holds its limits; `worker_context` holds what its
//!   tasks share.
//! - `intake` takes wakes while slots are free. `slots` decides which class gets a free slot.
//!   `slot_guard` and `in_flight` track the running jobs.
//! - `attempt` claims a job, calls the provider and commits the outcome. `retry_delay` computes when a
//!   failed job is tried again. `call_notices` makes running calls check whether their job has ended.
//! - `call_recorder` records calls in the metrics.
//! - `accounts` writes the limits of the providers file into the accounts.
//! - `drain` waits for the running attempts when the worker stops.
//! - `context` selects the turns of a session that are sent. `context_limits` remembers how many tokens models accept.
//! - [`provider`] makes the calls; `provider_lookup` finds the provider of a model.

mod accounts;
mod attempt;
mod call_notices;
mod call_recorder;
mod context;
mod context_limits;
mod drain;
mod in_flight;
mod intake;
pub mod provider;
mod provider_lookup;
mod retry_delay;
mod settings;
mod slot_guard;
mod slots;
mod worker;
mod worker_context;

pub use provider_lookup::ProviderLookup;
pub use settings::{RELEASING_MS_MAX, WorkerSettings};
pub use worker::run;
