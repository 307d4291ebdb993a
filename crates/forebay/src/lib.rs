//! Composes the crates into processes. A process reads its settings, opens an engine and starts the parts of its role.
//! It waits for a signal and stops within a time limit. This crate has no other behaviour.
//!
//! In reading order: `settings` (the command line), `compose` (turns settings into a plan), `engine` (opens the
//! store and the queue), `run` (runs the plan until the exit), `log`, `signals`, `open_file_limit`.

mod compose;
mod engine;
mod log;
mod open_file_limit;
mod run;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::Parser;

pub use settings::{Cli, Role, Settings};

/// The exit code of a process that could not start: invalid settings, or a port or data folder in use.
const EXIT_NOT_STARTED: u8 = 2;

/// Runs a process until it exits. A binary with a fixed `role` refuses commands for another role.
#[must_use]
pub fn main(role: Option<Role>) -> ExitCode {
    // An invalid flag or variable ends the process here, with code 2 and an error that names it.
    let cli = Cli::parse();
    if let (Some(role), Some(requested)) = (role, cli.role)
        && role != requested
    {
        eprintln!("forebay: this binary is the {role} and cannot run as {requested}");
        return ExitCode::from(EXIT_NOT_STARTED);
    }
    let plan = match compose::plan(role.or(cli.role), cli.settings) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("forebay: {error:#}");
            return ExitCode::from(EXIT_NOT_STARTED);
        }
    };
    log::init(&plan.log);
    open_file_limit::raise();
    match run::run(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(run::RunError::Start(error)) => {
            eprintln!("forebay: {error:#}");
            ExitCode::from(EXIT_NOT_STARTED)
        }
        Err(run::RunError::Running(error)) => {
            tracing::error!(error = format!("{error:#}"), "exiting after a failure");
            ExitCode::FAILURE
        }
    }
}
