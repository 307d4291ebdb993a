//! The gateway: Forebay's HTTP API. It accepts jobs into their lanes, answers who asks about them, and
//! makes clients wait no longer than they want to.
//!
//! It knows the two ports and nothing of who implements them, calls no provider and decides nothing
//! about order: that is [`forebay_shared::lane`]. Everything it keeps in memory is bounded, see
//! [`GatewaySettings`].
//!
//! In reading order:
//! - [`settings`]: what bounds a gateway.
//! - `server`: the accept loop and its limits in time; `router`: the routes.
//! - `problem`: every error the API can answer with, in one table.
//! - `jobs`, `sessions`, `queues`, `health`: the routes' handlers, one file each.
//! - `validation`: what a submit may contain. `admission`: whether one is accepted now.
//!   `idempotency`: which job one is about.
//! - `body`, `patience`, `api`, `access_log`: how a body is read, how long the store may take, what
//!   handlers share, one line for each request.

mod access_log;
mod admission;
mod api;
mod body;
mod health;
mod idempotency;
mod jobs;
mod patience;
mod problem;
mod queues;
mod router;
mod server;
mod sessions;
pub mod settings;
mod validation;

pub use server::serve;
pub use settings::GatewaySettings;
