//! Log lines, on standard error.
//!
//! `context_fields` adds the ids of the task to its lines, and `field_value` writes them. `output` writes the lines, `dropped_lines` makes
//! the report of those that could not be written, and `panic_log` logs panics. None of them ends the process or blocks it for long,
//! whatever happens to standard error.

mod context_fields;
mod dropped_lines;
mod field_value;
mod format;
mod output;
mod panic_log;

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    os::fd::AsFd,
    sync::OnceLock,
};

use forebay_worker::provider::ProviderRegistry;
use tracing_subscriber::{EnvFilter, fmt};

use crate::settings::UnknownVariable;
use context_fields::WithContextFields;
pub(crate) use format::LogFormat;
use output::{FLUSH_TIMEOUT, LogOutput, REPORT_INTERVAL};

/// The filter and the format of log lines.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// A valid filter in the syntax of `tracing-subscriber`.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// Turns off lapin's log lines. They contain whole messages, and errors that the engine logs too.
const LAPIN_OFF: &str = "lapin=off";

/// The output, once logging has started.
static OUTPUT: OnceLock<LogOutput> = OnceLock::new();

/// Starts logging. Must be called once.
///
/// # Errors
/// If the system refuses to start the thread that writes.
pub(crate) fn init(settings: &LogSettings) -> io::Result<()> {
    // A file of its own, so that a write that blocks does not block others that write to standard error.
    let standard_error: Box<dyn Write + Send> = match io::stderr().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(std::fs::File::from(descriptor)),
        Err(_) => Box::new(io::sink()),
    };
    let has_colours = io::stderr().is_terminal();
    let format = settings.format;
    let make_report = Box::new(move |dropped| dropped_lines::report(format, has_colours, dropped));
    let output = LogOutput::start(standard_error, make_report, REPORT_INTERVAL)?;
    let output = OUTPUT.get_or_init(|| output);
    let subscriber = fmt()
        .with_env_filter(EnvFilter::new(format!("{LAPIN_OFF},{}", settings.filter)))
        .log_internal_errors(false)
        .with_writer(output.clone());
    match format {
        LogFormat::Text => {
            let lines = fmt::format().with_ansi(has_colours);
            subscriber
                .with_ansi(has_colours)
                .event_format(WithContextFields::new(lines, format))
                .init();
        }
        LogFormat::Json => {
            let lines = fmt::format().json().flatten_event(true);
            subscriber
                .fmt_fields(fmt::format::JsonFields::new())
                .event_format(WithContextFields::new(lines, format))
                .init();
        }
    }
    panic_log::install(output.clone());
    Ok(())
}

/// How many lines were dropped since the start.
pub(crate) fn dropped_lines() -> u64 {
    OUTPUT.get().map_or(0, LogOutput::dropped_total)
}

/// Waits until all lines are written, but at most for `output::FLUSH_TIMEOUT`.
pub(crate) fn flush() {
    if let Some(output) = OUTPUT.get() {
        output.flush(FLUSH_TIMEOUT);
    }
}

/// Writes a message for the user to standard error, also if logging has not started. A message that cannot be written is
/// dropped: unlike `eprintln!`, this function never panics.
pub(crate) fn print_message(message: &str) {
    let text = format!("{message}\n");
    match OUTPUT.get() {
        Some(output) => output.push(text.into_bytes()),
        None => drop(io::stderr().write_all(text.as_bytes())),
    }
}

/// Why jobs that name no model get simulated replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Simulation {
    /// `FOREBAY_MODEL` is `simulated`.
    ByModel,
    /// No provider is set.
    WithoutProvider,
}

/// Warns that the API needs no key although other machines may reach it.
pub(crate) fn open_to_everyone(listen: SocketAddr) {
    tracing::warn!(
        "FOREBAY_INSECURE_NO_AUTH is set: everyone who reaches {listen} can use the API, without an API key"
    );
}

/// Logs that jobs that name no model get simulated replies, and why.
pub(crate) fn simulation(simulation: Option<Simulation>) {
    match simulation {
        Some(Simulation::ByModel) => tracing::info!(
            "jobs that name no model get simulated replies, because FOREBAY_MODEL is simulated"
        ),
        Some(Simulation::WithoutProvider) => tracing::warn!(
            "jobs that name no model get simulated replies; set an API key, OPENAI_BASE_URL or FOREBAY_MODEL"
        ),
        None => {}
    }
}

/// Writes a warning for each variable that is probably a misspelt setting. Its value is not shown, because it may be a secret.
pub(crate) fn unknown_variables(variables: &[UnknownVariable]) {
    for UnknownVariable { name, similar } in variables {
        match similar {
            Some(similar) => {
                tracing::warn!(
                    "the variable {name} is no setting and is ignored; did you mean {similar}?"
                );
            }
            None => tracing::warn!(
                "the variable {name} is no setting and is ignored; `forebay --help` lists the settings"
            ),
        }
    }
}

/// Writes one line for each provider, and a warning for each key that is not set.
pub(crate) fn providers(registry: &ProviderRegistry) {
    for summary in registry.summaries() {
        if let Some(key_env) = summary.unset_key_env() {
            tracing::warn!(
                provider = summary.name,
                "{key_env}, the key_env of this provider, is not set: jobs for it fail; set it, or remove key_env"
            );
        }
        tracing::info!(
            provider = summary.name,
            url = summary.url,
            key = summary.key.to_string(),
            models = summary.models,
            "provider configured"
        );
    }
}
