//! Composes the parts into processes. It has no behaviour of its own: it reads the settings, picks the
//! engine, starts what the role needs, waits for a signal, and stops it again under a time limit.

mod compose;
mod descriptors;
mod engine;
mod log;
mod run;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::Parser;

pub use settings::{Cli, LogFormat, Role, Settings};

/// The exit code for a start that the settings, or who else is running, make impossible.
const EXIT_SETTINGS: u8 = 2;

/// Runs a process to its end. `role` fixes what the binary does, whatever command is given.
#[must_use]
pub fn main(role: Option<Role>) -> ExitCode {
    // A wrong flag or variable ends the process here, with code 2 and a message that names it.
    let cli = Cli::parse();
    if let (Some(role), Some(asked)) = (role, cli.role)
        && role != asked
    {
        eprintln!("forebay: this binary is the {role}: it has no command {asked}");
        return ExitCode::from(EXIT_SETTINGS);
    }
    let plan = match compose::plan(role.or(cli.role), cli.settings) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("forebay: {error:#}");
            return ExitCode::from(EXIT_SETTINGS);
        }
    };
    log::init(&plan.log);
    descriptors::raise_limit();
    match run::run(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(run::Failure::Start(error)) => {
            eprintln!("forebay: {error:#}");
            ExitCode::from(EXIT_SETTINGS)
        }
        Err(run::Failure::Running(error)) => {
            tracing::error!(error = format!("{error:#}"), "the process failed");
            ExitCode::FAILURE
        }
    }
}
