//! The real `forebay` binary as a child process. It is built once and started on a free port in a clean environment.
//! Tests send it signals, kill it and read its log.
//!
//! A process is ready when it writes `listening on http://ADDRESS` to stdout or stderr, or the text that the test sets. Only
//! processes that were started here are signalled.

mod binary;
mod cgroup;
mod exit;
mod output;
mod running;
mod spawned;
mod start;

#[cfg(test)]
mod tests;

pub use binary::path as binary_path;
pub use exit::{Exited, run_to_exit};
pub use running::Forebay;
pub use start::Builder;
