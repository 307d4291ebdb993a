//! The sweeper's two loops. One acts on due timers, so that jobs continue after a crash or a lost message. The other resumes deferred jobs.
//!
//! Every gateway and every worker runs the loops, and the store elects one of them as the sweeper. The sweeper also takes
//! running jobs over from workers that are gone. It wakes all ready heads when the queue has lost its
//! messages, and deletes expired records and sessions.

mod found_heads;
mod passes;
mod refill;
mod resume;
mod sweep_loop;
mod term;

pub use passes::{Sweeper, SweeperSettings};
pub use resume::ResumeLoop;
