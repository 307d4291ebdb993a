//! The gateway: Forebay's HTTP API. It accepts jobs, shows jobs and sessions, stores sessions that clients write, and lets
//! clients wait for a job to end.
//!
//! The gateway uses the store and the queue only through their traits. It calls no provider, and leaves all rules
//! about order to [`forebay_shared::lane`]. Everything that it keeps in memory is bounded, mostly by [`GatewaySettings`].
//!
//! In reading order:
//! - [`settings`]: the gateway's settings.
//! - `server`: accepts connections and enforces their time limits.
//! - `router`: the routes. `around_handlers`: what runs around every handler. `request_context`: the id and the trace of a request;
//!   `request_id`: chooses the id. `access_log`: one log line for each request. `request_metrics`: the metrics of requests.
//! - `auth`: API keys, tenants and scopes. `request_caller`: gives handlers the caller of their request.
//! - `security_headers`: headers of every response, for browsers.
//! - `web_guard`: refuses the requests of web pages that are not allowed.
//! - `query_parameters`: defines, reads and refuses query parameters. `request_faults`: all faults of a request, for one response.
//!   `unread_body`: discards bodies that no handler reads.
//! - `welcome`: `GET /`, the name of the program and its routes. `openapi`: the OpenAPI document of all routes.
//!   `swagger_ui`: the page that shows it.
//! - `state`: what all handlers share.
//! - `jobs`, `sessions`, `queues`, `providers`, `admin_keys`, `health`: the handlers. `path_ids`: the ids in a path.
//! - `request_body`: reads a body within its limits; `json_size`: how much memory the parsed body takes. `content_headers`:
//!   checks the headers that describe a body. `reserved_body`: the body of a large response. `validation`: checks the fields of bodies.
//! - `idempotency`: finds the job of a repeated submit. `admission`: decides whether new jobs are accepted now.
//!   `admitted_jobs`: counts admitted jobs until a sample of the store's counts has them.
//! - `tenant_limits`: applies the limits of tenants. `admin_limits`: the handlers that show and set them. `tenant_name`: which names
//!   tenants with keys or limits may have.
//! - `waiting_jobs`: limits the jobs that wait for one provider. `model_accounts`: which accounts the jobs of a model may wait for.
//! - `readiness`: whether the process is healthy and ready. `admin`: the admin listener.
//! - `store_call`: time limits and errors of store calls. `read_pacer`: limits the reads of waiting requests.
//! - `problem`, `problem_code`: error responses; `panic_response`: the error response after a panic. `retry_after`: when a client should
//!   ask again. `json_response`: a small response as JSON.

mod access_log;
mod admin;
mod admin_keys;
mod admin_limits;
mod admission;
mod admitted_jobs;
mod around_handlers;
mod auth;
mod content_headers;
mod health;
mod idempotency;
mod jobs;
mod json_response;
mod json_size;
mod model_accounts;
mod openapi;
mod panic_response;
mod path_ids;
mod problem;
mod problem_code;
mod providers;
mod query_parameters;
mod queues;
mod read_pacer;
mod readiness;
mod request_body;
mod request_caller;
mod request_context;
mod request_faults;
mod request_id;
mod request_metrics;
mod reserved_body;
mod retry_after;
mod router;
mod security_headers;
mod server;
mod sessions;
pub mod settings;
mod state;
mod store_call;
mod swagger_ui;
mod tenant_limits;
mod tenant_name;
mod unread_body;
mod validation;
mod waiting_jobs;
mod web_guard;
mod welcome;

pub use admin::{AdminSettings, serve_admin};
pub use auth::{ApiKeysFile, ApiKeysFileError};
pub use model_accounts::ModelAccounts;
pub use server::serve;
pub use settings::GatewaySettings;
pub use web_guard::{AllowedHosts, AllowedOrigins};
