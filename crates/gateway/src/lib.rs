//! The gateway: Forebay's HTTP API. It accepts jobs, shows jobs and sessions, and lets clients wait for
//! a job to end.
//!
//! The gateway uses the store and the queue only through their traits. It calls no provider, and leaves all rules
//! about order to [`forebay_shared::lane`]. [`GatewaySettings`]
//! bounds everything that the gateway keeps in memory.
//!
//! In reading order:
//! - [`settings`]: the gateway's settings.
//! - `server`: accepts connections and enforces their time limits.
//! - `router`: the routes. `access_log`: one log line for each request.
//! - `state`: what all handlers share.
//! - `jobs`, `sessions`, `queues`, `providers`, `health`: the handlers, one file for each route. `path_ids`: the ids
//!   in a path.
//! - `request_body`: reads a body within its limits. `validation`: checks a submit's fields.
//! - `idempotency`: finds the job of a repeated submit. `admission`: decides whether new jobs are accepted now.
//! - `waiting_jobs`: limits the jobs that wait for one provider. `model_accounts`: which provider a model is for.
//! - `store_call`: time limits and errors of store calls.
//! - `problem`, `problem_code`, `retry_after`: error responses.

mod access_log;
mod admission;
mod health;
mod idempotency;
mod jobs;
mod model_accounts;
mod path_ids;
mod problem;
mod problem_code;
mod providers;
mod queues;
mod request_body;
mod retry_after;
mod router;
mod server;
mod sessions;
pub mod settings;
mod state;
mod store_call;
mod validation;
mod waiting_jobs;

pub use model_accounts::ModelAccounts;
pub use server::serve;
pub use settings::GatewaySettings;
