//! Tests of a running worker over the embedded engine. Each test decides what the provider replies.
//!
//! The tests wait for events wherever they can, not for time to pass.

mod cancelling;
mod completing;
mod deferring;
mod draining;
mod growing_chat;
mod harness;
mod large_inputs;
mod limiting;
mod outages;
mod replacing;
mod results_one_by_one;
mod retrying;
mod sharing;
mod tools;
