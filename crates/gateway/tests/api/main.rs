//! The gateway as its clients see it: over HTTP on a port of its own, in this process, with the embedded
//! engine. There is no worker; tests that need a reply claim and finish jobs themselves.

mod bad_input;
mod cancel;
mod connections;
mod fixture;
mod idempotency;
mod jobs;
mod limits;
mod sessions;
mod switch_store;
mod waits;
