//! Log lines, on standard error.

use tracing_subscriber::{EnvFilter, fmt};

use crate::settings::LogFormat;

/// What is logged, and how.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// A filter of tracing, checked when it was read.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// lapin logs whole returned messages, and errors that the engine handles and logs itself.
const QUIET: &str = "lapin=off";

/// Starts logging. Must be called once.
pub(crate) fn init(settings: &LogSettings) {
    let lines = fmt()
        .with_env_filter(EnvFilter::new(format!("{QUIET},{}", settings.filter)))
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
