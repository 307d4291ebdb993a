//! The OpenAPI 3.1 document of this gateway, at `GET /openapi.json`.
//!
//! `router` adds each route together with its description. So each route has a description, and each description has a
//! route. The schema of a submit is the one that validates submits. The schemas of responses are derived from the types that
//! are written as responses. The document states what this gateway enforces: it has a security scheme only if there are API
//! keys, and a submit without `model` needs a session only if there is no default model.
//!
//! - `operation`: the description of a route. `answers`: its error responses, from the table of problems.
//! - `document`: puts the descriptions together. `response`: answers requests for the document.
//! - `job_routes`, `session_routes`, `admin_key_routes`, `limit_routes`, `status_routes`: the descriptions.

mod admin_key_routes;
mod answers;
mod document;
mod job_routes;
mod limit_routes;
mod operation;
mod response;
mod session_routes;
mod status_routes;

pub(crate) use admin_key_routes::{create_key, list_keys, revoke_key};
pub(crate) use document::{Describe, document, http_method};
pub(crate) use job_routes::{cancel_job, delete_job, get_job, list_jobs, retry_job, submit_job};
pub(crate) use limit_routes::{delete_limits, get_limits, put_limits};
pub(crate) use response::DocumentResponse;
pub(crate) use session_routes::{
    delete_session, fork_session, get_session, list_sessions, patch_session, put_session,
};
pub(crate) use status_routes::{
    get_document, get_page, get_page_file, get_providers, get_queues, healthz, readyz,
    readyz_submits, welcome,
};
