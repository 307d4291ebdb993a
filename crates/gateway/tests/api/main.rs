//! Tests of the gateway over HTTP. The gateway runs in the test process, on a free port, over the embedded engine.
//! There is no worker: tests that need a reply claim and finish the job themselves.

mod admin;
mod api_keys;
mod bad_input;
mod cancel;
mod connections;
mod deletions;
mod fixture;
mod http_manners;
mod idempotency;
mod invalid_submits;
mod jobs;
mod limits;
mod lists;
mod openapi;
mod providers;
mod raw_http;
mod refused_submits;
mod replacements;
mod request_faults;
mod request_ids;
mod response_headers;
mod retries;
mod session_forks;
mod session_lists;
mod session_writes;
mod sessions;
mod stored_keys;
mod tenant_limits;
mod waits;
mod web_pages;
