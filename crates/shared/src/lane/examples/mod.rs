//! Examples of every row of the protocol's table, one file for each event.
//!
//! Each test is one sentence of the specification. [`properties`](super::properties) check any order of events. The
//! model check covers processes that die in between.

mod admit;
mod cancel;
mod claim;
mod counts;
mod finish;
mod if_busy;
mod release;
mod retry;
pub(super) mod scene;
mod tick;
mod tool_results;
