//! Adds what the task works on to its log lines: the ids of the request, the job, the session and the trace.
//!
//! A field that the line has already is not repeated.

use std::fmt::{self, Debug, Display, Write};

use forebay_telemetry::{TaskContext, task_context};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::LogFormat;

/// The field that says which job a line is about.
const JOB_ID: &str = "job_id";

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
        let context = task_context::current();
        if context.is_empty() {
            return self.formatter.format_event(ctx, writer, event);
        }
        let mut line = String::new();
        self.formatter
            .format_event(ctx, Writer::new(&mut line), event)?;
        writer.write_str(&with_fields(line, &fields(&context, event), self.format))
    }
}

/// The fields of the task that the line does not have. A line about another job than the task's gets only the id of the request.
fn fields(context: &TaskContext, event: &Event<'_>) -> Vec<(&'static str, String)> {
    let mut shown_job = ShownJob::default();
    event.record(&mut shown_job);
    let job = context.job.map(|job| job.to_string());
    let is_other_job = shown_job.0.is_some() && job.is_some() && shown_job.0 != job;
    let request_only;
    let context = if is_other_job {
        request_only = TaskContext {
            request_id: context.request_id.clone(),
            ..TaskContext::default()
        };
        &request_only
    } else {
        context
    };
    let is_shown = |name: &str| {
        let mut fields = event.metadata().fields().iter();
        fields.any(|field| field.name() == name)
    };
    let mut fields = Vec::new();
    let collected = context.write_fields(|name, value| {
        if !is_shown(name) {
            fields.push((name, value.to_string()));
        }
        Ok(())
    });
    debug_assert!(collected.is_ok(), "collecting fields never fails");
    fields
}

/// Adds fields to a complete line.
fn with_fields(mut line: String, fields: &[(&'static str, String)], format: LogFormat) -> String {
    let end = match format {
        LogFormat::Text => "\n",
        LogFormat::Json => "}\n",
    };
    // Every line has this end. A line without it is written as it is.
    let Some(length) = line.strip_suffix(end).map(str::len) else {
        return line;
    };
    line.truncate(length);
    for (name, value) in fields {
        let written = match format {
            LogFormat::Text => write!(line, " {name}={value}"),
            LogFormat::Json => write!(line, ",\"{name}\":{}", JsonText(value)),
        };
        debug_assert!(written.is_ok(), "writing to a string never fails");
    }
    line.push_str(end);
    line
}

/// A text without control characters, as a JSON string. No id has control characters.
struct JsonText<'a>(&'a str);

impl Display for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            if matches!(character, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(character)?;
        }
        f.write_char('"')
    }
}

/// The job that a line is about.
#[derive(Default)]
struct ShownJob(Option<String>);

impl Visit for ShownJob {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == JOB_ID {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LogFormat, with_fields};

    #[test]
    fn fields_are_added_at_the_end_of_a_line() {
        let fields = [("request_id", String::from("a\"b\\c"))];
        let text = with_fields(String::from("INFO done n=1\n"), &fields, LogFormat::Text);
        assert_eq!(text, "INFO done n=1 request_id=a\"b\\c\n");
        let json = with_fields(String::from("{\"n\":1}\n"), &fields, LogFormat::Json);
        assert_eq!(json, "{\"n\":1,\"request_id\":\"a\\\"b\\\\c\"}\n");
        let none = with_fields(String::from("{}\n"), &[], LogFormat::Json);
        assert_eq!(none, "{}\n");
    }
}
