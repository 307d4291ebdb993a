//! Composes the crates into processes. A process reads its settings, opens an engine and starts the parts of its role.
//! It waits for a signal and stops within a time limit. This crate has no other behaviour.
//!
//! In reading order: `settings` (the command line), `compose` (turns settings into a plan), `engine` (opens the
//! store and the queue), `run` (runs the plan until the exit), `check` (the command `forebay check`), `log`, `signals`,
//! `open_file_limit`.

mod check;
mod compose;
mod engine;
mod log;
mod open_file_limit;
mod run;
mod settings;
mod signals;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

pub use settings::{Cli, Command, Role, Settings};

/// The exit code of a process that could not start: invalid settings, or a port or data folder in use.
const EXIT_NOT_STARTED: u8 = 2;

/// Runs a process until it exits. A binary with a fixed `role` refuses the command for another role.
#[must_use]
pub fn main(role: Option<Role>) -> ExitCode {
    // An invalid flag or variable ends the process here, with code 2 and an error that names it.
    let cli = Cli::parse();
    let requested = match cli.command {
        None => None,
        Some(Command::Gateway) => Some(Role::Gateway),
        Some(Command::Worker) => Some(Role::Worker),
        Some(Command::Check { checked_model }) => return check_model(checked_model, &cli.settings),
    };
    if let (Some(role), Some(requested)) = (role, requested)
        && role != requested
    {
        eprintln!("forebay: this binary is the {role} and cannot run as {requested}");
        return ExitCode::from(EXIT_NOT_STARTED);
    }
    let plan = match compose::plan(role.or(requested), cli.settings) {
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

/// Checks a model. Exits with 0 if the model answers, and with 1 if not.
fn check_model(model: Option<String>, settings: &Settings) -> ExitCode {
    let providers = match compose::providers(None, settings) {
        Ok(providers) => providers,
        Err(error) => {
            eprintln!("forebay: {error:#}");
            return ExitCode::from(EXIT_NOT_STARTED);
        }
    };
    log::init(&log::LogSettings {
        filter: settings.log.clone(),
        format: settings.log_format,
    });
    let model = model.or_else(|| settings.model.clone());
    let timeout = Duration::from_secs(settings.call_timeout_s);
    match check::run(&providers, model, timeout) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
