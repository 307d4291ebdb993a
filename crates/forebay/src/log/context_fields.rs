//! Adds what the task works on to its log lines: the ids of the request, the job, the session and the trace.
//!
//! A field that the line has already is not repeated. A line is built in a buffer of its thread, so it needs no allocation.

use std::{
    cell::RefCell,
    fmt::{self, Debug, Write},
};

use forebay_shared::ids::JobId;
use forebay_telemetry::{TaskContext, task_context};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::{LogFormat, field_value::write_value};

/// The field that says which job a line is about.
const JOB_ID: &str = "job_id";
/// The only field that is added to a line about another job than the task's.
const REQUEST_ID: &str = "request_id";
/// All fields that are added.
const FIELDS: [&str; 6] = [
    REQUEST_ID,
    "key_id",
    JOB_ID,
    "session_id",
    "trace_id",
    "span_id",
];
/// The largest buffer that a thread keeps for its next line.
const KEPT_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Formats lines with another formatter, and adds the fields of the task.
pub(super) struct WithContextFields<F> {
    formatter: F,
    format: LogFormat,
}

impl<F> WithContextFields<F> {
    pub(super) const fn new(formatter: F, format: LogFormat) -> Self {
        Self { formatter, format }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithContextFields<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let has_fields = task_context::with_current(|context| !context.is_empty());
        if has_fields != Some(true) {
            return self.formatter.format_event(ctx, writer, event);
        }
        // A line that is written while another one is formatted finds an empty buffer.
        let mut line = LINE.take();
        line.clear();
        self.formatter
            .format_event(ctx, Writer::new(&mut line), event)?;
        let added = task_context::with_current(|context| {
            add_fields(&mut line, context, event, self.format)
        });
        added.unwrap_or(Ok(()))?;
        let written = writer.write_str(&line);
        if line.capacity() <= KEPT_BYTES_MAX {
            LINE.set(line);
        }
        written
    }
}

/// Adds the fields of the task that a complete line does not have. A line about another job than the task's gets only the id of
/// the request.
fn add_fields(
    line: &mut String,
    context: &TaskContext,
    event: &Event<'_>,
    format: LogFormat,
) -> fmt::Result {
    let end = match format {
        LogFormat::Text => "\n",
        LogFormat::Json => "}\n",
    };
    // The formatter ends every line like this. A line that ends in another way would be written as it is.
    let Some(length) = line.strip_suffix(end).map(str::len) else {
        return Ok(());
    };
    let mut shown = ShownFields::new(context.job);
    event.record(&mut shown);
    line.truncate(length);
    context.write_fields(|name, value| {
        if shown.has(name) || (shown.is_other_job && name != REQUEST_ID) {
            return Ok(());
        }
        match format {
            LogFormat::Text => write!(line, " {name}=")?,
            LogFormat::Json => write!(line, ",\"{name}\":")?,
        }
        write_value(line, value, format)
    })?;
    line.push_str(end);
    Ok(())
}

/// The fields that a line has already.
struct ShownFields {
    job: Option<JobId>,
    shown: [bool; FIELDS.len()],
    /// Whether the line is about another job than the task's.
    is_other_job: bool,
}

impl ShownFields {
    const fn new(job: Option<JobId>) -> Self {
        Self {
            job,
            shown: [false; FIELDS.len()],
            is_other_job: false,
        }
    }

    fn has(&self, name: &str) -> bool {
        let mut fields = FIELDS.iter().zip(self.shown);
        fields.any(|(field, is_shown)| is_shown && *field == name)
    }
}

impl Visit for ShownFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let fields = FIELDS.iter().zip(&mut self.shown);
        for (_, is_shown) in fields.filter(|(name, _)| **name == field.name()) {
            *is_shown = true;
        }
        if field.name() == JOB_ID
            && let Some(job) = self.job
        {
            self.is_other_job = !is_id_of(value, job);
        }
    }
}

/// Whether a value of a log line is the id of this job.
fn is_id_of(value: &dyn Debug, job: JobId) -> bool {
    let (mut expected, mut shown) = (ShortText::new(), ShortText::new());
    let is_short = write!(expected, "{job}").is_ok() && write!(shown, "{value:?}").is_ok();
    is_short && expected.text() == shown.text()
}

/// A text that is at most as long as the id of a job.
struct ShortText {
    bytes: [u8; 40],
    length: usize,
}

impl ShortText {
    const fn new() -> Self {
        Self {
            bytes: [0; 40],
            length: 0,
        }
    }

    fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Write for ShortText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let free = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        free.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
