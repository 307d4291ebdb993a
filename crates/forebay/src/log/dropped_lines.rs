//! Makes the report of log lines that could not be written.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{Level, subscriber::with_default};
use tracing_subscriber::fmt;

use super::format::LogFormat;

/// A log line that says how many lines were dropped. It does not depend on the filter of the log: that lines are missing is
/// important for every reader.
pub(super) fn report(format: LogFormat, has_colours: bool, dropped: u64) -> Vec<u8> {
    let buffer = ReportBuffer::default();
    let writer = buffer.clone();
    let subscriber = fmt()
        .with_max_level(Level::WARN)
        .with_writer(move || writer.clone());
    let log = || {
        tracing::warn!(
            dropped_lines = dropped,
            "log lines were dropped, because standard error could not be written, or its reader was too slow"
        );
    };
    match format {
        LogFormat::Text => with_default(subscriber.with_ansi(has_colours).finish(), log),
        LogFormat::Json => with_default(subscriber.json().flatten_event(true).finish(), log),
    }
    let mut bytes = buffer.0.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *bytes)
}

/// Collects the bytes of the report.
#[derive(Clone, Default)]
struct ReportBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for ReportBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::{Level, subscriber::with_default};
    use tracing_subscriber::fmt;

    use super::{LogFormat, report};

    #[test]
    fn the_report_does_not_depend_on_the_filter_of_the_log() {
        let errors_only = fmt().with_max_level(Level::ERROR).finish();
        with_default(errors_only, || {
            let has_colours = false;
            let text = String::from_utf8(report(LogFormat::Text, has_colours, 7)).expect("text");
            assert!(text.contains("WARN"), "{text}");
            assert!(text.ends_with("dropped_lines=7\n"), "{text}");
            let json = String::from_utf8(report(LogFormat::Json, has_colours, 7)).expect("text");
            assert!(json.contains(r#""dropped_lines":7"#), "{json}");
        });
    }
}
