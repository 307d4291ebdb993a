//! Tests of `lanes`: changes are batched, commits are repeated until their result is known, and a stale cache does no
//! harm.

mod batch;
mod cache;
mod lost_response;
mod outage;
