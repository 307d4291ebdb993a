//! Composes the crates into processes. A process reads its settings, opens an engine and starts the parts of its role.
//! It waits for a signal and stops within a time limit. Besides, this crate has the commands `check`, `health` and `keys`.
//!
//! In reading order: `settings` (the command line), `compose` (turns settings into a plan), `engine` (opens the
//! store and the queue), `run` (runs the plan until the exit), `check` (the command `forebay check`), `health` (the command
//! `forebay health`), `keys` (the command `forebay keys`), `log`, `signals`, `traces`, `memory_limit`, `open_file_limit`,
//! `process_metrics`.

mod check;
mod compose;
mod engine;
mod health;
mod keys;
mod log;
mod memory_limit;
mod open_file_limit;
mod process_metrics;
mod run;
mod settings;
mod signals;
mod traces;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use forebay_worker::provider::http::ReplyBudgets;

pub use keys::{KeysAction, KeysCommand};
pub use settings::{Cli, Command, Role, Settings};

/// The exit code of a process that could not start: invalid settings, or a port or data folder in use.
const EXIT_NOT_STARTED: u8 = 2;

/// Runs a process until it exits. A binary with a fixed `role` refuses the command for another role.
#[must_use]
pub fn main(role: Option<Role>) -> ExitCode {
    forebay_allocator::save_memory();
    // An invalid flag or variable ends the process here, with code 2 and an error that names it.
    let mut cli = Cli::read();
    if let Err(error) = cli.settings.read_secret_files() {
        return not_started(&error);
    }
    let requested = match cli.command {
        None => None,
        Some(Command::Gateway) => Some(Role::Gateway),
        Some(Command::Worker) => Some(Role::Worker),
        Some(Command::Check { checked_model }) => return check_model(checked_model, &cli.settings),
        Some(Command::Health) => return check_health(&cli.settings),
        Some(Command::Keys(command)) => return manage_keys(&command, &cli.settings),
    };
    if let (Some(role), Some(requested)) = (role, requested)
        && role != requested
    {
        let error = format!("this binary is the {role} and cannot run as {requested}");
        return not_started(&anyhow::Error::msg(error));
    }
    let started = compose::plan(role.or(requested), cli.settings)
        .and_then(|plan| start_log(&plan.log).map(|()| plan));
    let plan = match started {
        Ok(plan) => plan,
        Err(error) => return not_started(&error),
    };
    log::unknown_variables(&Cli::unknown_variables(&plan.key_envs));
    open_file_limit::raise_and_check(plan.open_files());
    let format = plan.log.format;
    let exit = match run::run(plan) {
        Ok(()) => ExitCode::SUCCESS,
        // A program that reads a log of JSON lines cannot read a line of text.
        Err(run::RunError::Start(error))
            if format == log::LogFormat::Json && tracing::enabled!(tracing::Level::ERROR) =>
        {
            tracing::error!(error = format!("{error:#}"), "the process could not start");
            ExitCode::from(EXIT_NOT_STARTED)
        }
        Err(run::RunError::Start(error)) => not_started(&error),
        Err(run::RunError::Running(error)) => {
            tracing::error!(error = format!("{error:#}"), "exiting after a failure");
            ExitCode::FAILURE
        }
    };
    log::flush();
    exit
}

/// Prints why the process could not start.
fn not_started(error: &anyhow::Error) -> ExitCode {
    log::print_message(&format!("forebay: {error:#}"));
    ExitCode::from(EXIT_NOT_STARTED)
}

fn start_log(settings: &log::LogSettings) -> anyhow::Result<()> {
    log::init(settings).context("the thread that writes the log could not be started")
}

/// Checks a model. Exits with 0 if the model answers, and with 1 if not.
fn check_model(model: Option<String>, settings: &Settings) -> ExitCode {
    let log_settings = log::LogSettings {
        filter: settings.log.clone(),
        format: settings.log_format,
    };
    let started = compose::providers(None, settings, ReplyBudgets::default())
        .and_then(|providers| start_log(&log_settings).map(|()| providers));
    let providers = match started {
        Ok(providers) => providers,
        Err(error) => return not_started(&error),
    };
    let model = model.or_else(|| settings.model.clone());
    let timeout = Duration::from_secs(settings.call_timeout_s);
    let exit = match check::run(&providers, model, timeout) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::print_message(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    };
    log::flush();
    exit
}

/// Checks the process that runs with the same settings. Exits with 0 if it is healthy, and with 1 if not.
fn check_health(settings: &Settings) -> ExitCode {
    let (listen, variable) = match settings.admin_listen {
        Some(listen) => (listen, "FOREBAY_ADMIN_LISTEN"),
        None => (settings.listen, "FOREBAY_LISTEN"),
    };
    match health::run(listen, variable) {
        Ok(address) => {
            // The exit code shows the result too, so a line that cannot be written is dropped.
            let _ = writeln!(io::stdout(), "http://{address}/healthz answered 200");
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::print_message(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Manages the API keys of a running process. Exits with 0, with 1 if the process cannot be reached or refuses, and with 2 without
/// an admin key or a valid URL.
fn manage_keys(command: &KeysCommand, settings: &Settings) -> ExitCode {
    let prepared = settings::secret_variable(keys::ADMIN_KEY)
        .and_then(|admin_key| keys::prepare(command, settings.listen, admin_key));
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return not_started(&error),
    };
    match prepared.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::print_message(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
