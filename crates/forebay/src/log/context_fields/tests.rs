//! Tests of the fields that a log line gets from its context: their order, their form in text and JSON, and their escapes.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use forebay_shared::ids::SessionId;
use forebay_telemetry::RequestId;
use tokio::runtime::Builder;
use tracing::subscriber::with_default;
use tracing_subscriber::fmt as log_format;

use super::*;

/// Collects the lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a task with this context logs.
fn logged(context: TaskContext, format: LogFormat, log: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = log_format().with_writer(move || writer.clone());
    let run = || {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(task_context::scope(context, async { log() }));
    };
    match format {
        LogFormat::Text => {
            let text = log_format::format()
                .without_time()
                .with_target(false)
                .with_ansi(false);
            let added = WithContextFields::new(text, format);
            with_default(
                subscriber.with_ansi(false).event_format(added).finish(),
                run,
            );
        }
        LogFormat::Json => {
            let json = log_format::format()
                .json()
                .flatten_event(true)
                .without_time()
                .with_target(false);
            let added = WithContextFields::new(json, format);
            let subscriber = subscriber.fmt_fields(log_format::format::JsonFields::new());
            with_default(subscriber.event_format(added).finish(), run);
        }
    }
    let mut bytes = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8(std::mem::take(&mut bytes)).expect("text")
}

const TASK_JOB: &str = "job_0a00000000000000000000000000000001";
const OTHER_JOB: &str = "job_0a00000000000000000000000000000002";

fn context(session: &str) -> TaskContext {
    TaskContext {
        request_id: Some(RequestId::random([0x11; 16])),
        key_id: None,
        job: Some(JobId::parse(TASK_JOB).expect("an id")),
        session: Some(SessionId::parse(session).expect("an id")),
        trace: None,
    }
}

const REQUEST: &str = "request_id=11111111111111111111111111111111";

#[test]
fn a_line_gets_the_fields_of_its_task_once() {
    let text = |log: &dyn Fn()| logged(context("chat"), LogFormat::Text, log);
    assert_eq!(
        text(&|| tracing::info!(n = 1, "done")),
        format!(" INFO done n=1 {REQUEST} job_id={TASK_JOB} session_id=chat\n")
    );
    let job = JobId::parse(TASK_JOB).expect("an id");
    let expected = format!(" INFO done job_id={TASK_JOB} {REQUEST} session_id=chat\n");
    assert_eq!(text(&|| tracing::info!(job_id = %job, "done")), expected);
    // A text is compared without its quotes.
    let expected = expected.replace(TASK_JOB, &format!("{TASK_JOB:?}"));
    assert_eq!(
        text(&|| tracing::info!(job_id = TASK_JOB, "done")),
        expected
    );
}

#[test]
fn a_line_about_another_job_gets_only_the_id_of_the_request() {
    for other in [OTHER_JOB, "", &"x".repeat(50)] {
        let line = logged(context("chat"), LogFormat::Text, || {
            tracing::info!(job_id = %other, "done");
        });
        assert_eq!(line, format!(" INFO done job_id={other} {REQUEST}\n"));
    }
}

#[test]
fn an_empty_field_of_a_line_does_not_hide_the_field_of_the_task() {
    let line = logged(context("chat"), LogFormat::Text, || {
        tracing::info!(session_id = None::<&str>, "done");
    });
    assert!(line.ends_with(" session_id=chat\n"), "{line}");
}

#[test]
fn an_id_cannot_forge_fields() {
    let forged = "x\" job_id=y code=completed";
    let log = || tracing::info!("done");
    let line = logged(context(forged), LogFormat::Text, log);
    assert!(
        line.ends_with(" session_id=\"x\\\" job_id=y code=completed\"\n"),
        "{line}"
    );
    let line = logged(context(forged), LogFormat::Json, log);
    let end = ",\"session_id\":\"x\\\" job_id=y code=completed\"}\n";
    assert!(line.ends_with(end), "{line}");
}

#[test]
fn a_line_of_a_task_without_ids_is_not_changed() {
    let line = logged(TaskContext::default(), LogFormat::Text, || {
        tracing::info!("done");
    });
    assert_eq!(line, " INFO done\n");
}

#[test]
fn a_value_can_read_the_context_while_its_line_is_formatted() {
    struct ReadsContext;
    impl fmt::Display for ReadsContext {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let current = task_context::current();
            f.write_str(if current.is_empty() { "empty" } else { "known" })
        }
    }
    for _ in 0..2 {
        let line = logged(context("chat"), LogFormat::Text, || {
            tracing::info!(context = %ReadsContext, "done");
        });
        assert!(
            line.starts_with(" INFO done context=known request_id="),
            "{line}"
        );
    }
}
