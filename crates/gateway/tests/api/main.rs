//! Tests of the gateway over HTTP. The gateway runs in the test process, on a free port, over the embedded engine.
//! There is no worker: tests that need a reply claim and finish the job themselves.

mod bad_input;
mod cancel;
mod connections;
mod fixture;
mod idempotency;
mod jobs;
mod limits;
mod providers;
mod sessions;
mod waits;
