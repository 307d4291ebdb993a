//! A worker at work: the real one, over the embedded engine, with providers that the test answers for.
//! No test waits for time to pass where it can wait for what happens.

mod cancelling;
mod completing;
mod draining;
mod harness;
mod outages;
mod retrying;
mod sharing;
mod store;
mod tools;
