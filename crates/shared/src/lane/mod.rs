//! The lane protocol: the rules of order, fences, retries, cancels and deadlines, as pure functions.
//!
//! A lane is the live jobs of one session, in order. Only its head may run. [`apply`] changes a lane by an
//! [`Event`] and returns the [`Effects`] to write and to carry out. It has no I/O, no clock and no randomness: the
//! current time is an argument, and `not_before` (with its jitter) and the live processes are part of the event.
//! Engines commit the result with a compare-and-set and contain no rules. ARCHITECTURE.md defines the protocol's words.
//!
//! In reading order: `document.rs`, `event.rs`, `effects.rs`, `apply.rs`, `transition.rs`, then the files
//! of the events.

mod admit;
mod apply;
mod cancel;
mod claim;
mod counts;
mod defer;
mod document;
mod effects;
mod event;
mod settle;
mod stored;
mod tick;
mod transition;

#[cfg(test)]
mod examples;
#[cfg(test)]
mod properties;

pub use apply::apply;
pub use counts::{ClassCounts, LaneCounts};
pub use document::{
    ATTEMPTS_MAX, DEFERRED_MS_MAX, Deferral, Entry, HeadState, LANE_MAX, Lane, PUBLISH_LIMIT_MS,
    REVISIT_MS, State, TAKEOVERS_MAX,
};
pub use effects::{ClaimResult, Effects, EndedEntry, Refused};
pub use event::{Admit, Event, IfBusy, LiveProcesses, OutcomeSummary, ReleaseReason};
pub use transition::wake_timer;
