//! Tests of `lanes`: changes are batched, commits are repeated until their result is known, and an outdated cache changes
//! no result.

mod batch;
mod cache;
mod conflicts;
mod copies;
mod lost_response;
mod outage;
mod repairs;
