//! Examples of the protocol, one file for each event. The name of each test is one sentence of the protocol's specification.
//!
//! [`properties`](super::properties) checks any order of events. The model check (`tests/model`) covers processes that
//! die between events.

mod admit;
mod cancel;
mod claim;
mod counts;
mod defer;
mod finish;
mod if_busy;
mod release;
mod retry;
pub(super) mod scene;
mod tick;
mod tool_results;
