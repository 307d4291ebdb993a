//! The real `forebay` binary as a child process: built once, started on a free port in a clean
//! environment, signalled, killed, and its log read.
//!
//! A started process has to write `listening on http://ADDRESS` to stdout or stderr; that line tells
//! that it is ready and where. Only processes started here are ever signalled.

mod binary;
mod exit;
mod output;
mod running;
mod start;

#[cfg(test)]
mod tests;

pub use exit::{Exited, run_to_exit};
pub use running::Forebay;
pub use start::Builder;
