//! The loop that acts on due timers, so that work goes on after a crash or a lost message.
//!
//! Every gateway and every worker runs it, and the store elects one of them. The sweeper also takes running jobs over
//! from workers that are gone, wakes all ready heads when the queue has lost its messages, and deletes what has expired.

mod passes;
mod sweep_loop;
mod term;

pub use passes::{Sweeper, SweeperSettings};
