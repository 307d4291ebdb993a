//! Log lines, on standard error.

use forebay_worker::provider::ProviderRegistry;
use tracing_subscriber::{EnvFilter, fmt};

/// The filter and the format of log lines.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// A valid filter in the syntax of `tracing-subscriber`.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object for each line.
    Json,
}

/// Turns off lapin's log lines. They contain whole messages, and errors that the engine logs too.
const LAPIN_OFF: &str = "lapin=off";

/// Starts logging. Must be called once.
pub(crate) fn init(settings: &LogSettings) {
    let subscriber = fmt()
        .with_env_filter(EnvFilter::new(format!("{LAPIN_OFF},{}", settings.filter)))
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => subscriber
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}

/// Writes one line for each provider.
pub(crate) fn providers(registry: &ProviderRegistry) {
    for summary in registry.summaries() {
        tracing::info!(
            provider = summary.name,
            url = summary.url,
            key = summary.key.to_string(),
            models = summary.models,
            "provider configured"
        );
    }
}
