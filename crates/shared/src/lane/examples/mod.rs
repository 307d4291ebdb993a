//! Examples of every row of the protocol's table, one file for each event.
//!
//! Read them as the specification in small: each test is one sentence of the design. What holds for
//! any order of events is in [`properties`](super::properties); what holds for every process that may
//! die in between is the model check's.

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
