//! Traces of one process: complete at a collector, and harmless without one.

use std::time::Duration;

use e2e::{
    collector::Collector,
    process::{Forebay, run_to_exit},
    trace_tree::{self, ClientTrace},
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::fixture::{Fixture, TIMEOUT};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACE: ClientTrace = ClientTrace {
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    span_id: "b7ad6b7169203331",
    is_sampled: true,
};
/// The line of a process whose collector is away.
const NOT_EXPORTED: &str = "traces are not exported";

#[tokio::test]
async fn one_process_exports_the_whole_trace_and_its_last_spans_at_the_exit() {
    let collector = Collector::start().await;
    // Only the exit exports the spans.
    let delay = ("OTEL_BSP_SCHEDULE_DELAY", "600000");
    let name = ("OTEL_SERVICE_NAME", "my-app");
    let mut fixture = Fixture::with(&[(ENDPOINT, collector.url()), delay, name]).await;
    let job = json!({ "session_id": "chat", "input": "hello" });
    let id = trace_tree::submit(&fixture.client, &job, TRACE).await;
    let job = fixture.wait(&id).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert!(collector.spans().is_empty());
    fixture.forebay.sigterm();
    let exit = fixture.forebay.wait_exit(TIMEOUT).await;
    assert_eq!(exit.code(), Some(0), "{exit}");
    let spans = trace_tree::wait(&collector, TRACE.trace_id, TIMEOUT).await;
    trace_tree::assert_complete(&spans, TRACE, &id, ["my-app", "my-app"], &fixture.llm);
}

#[tokio::test]
async fn a_failed_call_has_its_code_as_the_error_of_its_spans() {
    let collector = Collector::start().await;
    let delay = ("OTEL_BSP_SCHEDULE_DELAY", "50");
    let fixture = Fixture::with(&[(ENDPOINT, collector.url()), delay]).await;
    let error = scripted_provider::ProviderError::unauthorized();
    fixture.llm.add_rule(move |_| Some(error.clone().into()));
    let id = fixture.submit(&json!({ "input": "hello" })).await;
    assert_eq!(fixture.wait(&id).await["status"], "failed");
    let spans = collector
        .wait_for("the span of the attempt", TIMEOUT, |spans| {
            spans.iter().any(|span| span.span.name == "run attempt")
        })
        .await;
    for name in ["chat gpt-test", "run attempt"] {
        let span = trace_tree::named(&spans, name);
        assert_eq!(
            span.attribute("error.type"),
            "authentication_failed",
            "{span:?}"
        );
        let status = span.span.status.as_ref();
        assert_eq!(status.map(|status| status.code), Some(2), "{span:?}");
    }
    // The client named no trace, so the submit has begun one.
    let submit = trace_tree::named(&spans, trace_tree::SUBMIT);
    assert_eq!(submit.parent_id(), "");
}

#[tokio::test]
async fn a_collector_that_does_not_answer_disturbs_no_job() {
    // Connections are accepted by the system and never answered.
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("the port is known");
    let endpoint = format!("http://{address}");
    let mut fixture = Fixture::with(&[
        (ENDPOINT, &endpoint),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
    ])
    .await;
    let mut ids = Vec::new();
    for number in 0..50 {
        let job = json!({ "session_id": format!("s-{number}"), "input": "hello" });
        ids.push(fixture.submit(&job).await);
    }
    for id in ids {
        let job = fixture.wait(&id).await;
        assert_eq!(job["status"], "completed", "{job}");
    }
    fixture.forebay.wait_for_log(NOT_EXPORTED, TIMEOUT).await;
    fixture.forebay.sigterm();
    let exit = fixture.forebay.wait_exit(TIMEOUT).await;
    assert_eq!(exit.code(), Some(0), "{exit}");
    let log = fixture.forebay.logs();
    assert_eq!(log.matches(NOT_EXPORTED).count(), 1, "{log}");
}

#[tokio::test]
async fn a_protocol_that_is_not_supported_is_an_error_at_the_start() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let endpoint = (ENDPOINT, "http://127.0.0.1:4317");
    let exited = run_to_exit(&[], &[endpoint, grpc], TIMEOUT).await;
    assert_eq!(exited.code, Some(2), "{}", exited.stderr);
    for words in ["OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "4318"] {
        assert!(exited.stderr.contains(words), "{}", exited.stderr);
    }
}

#[tokio::test]
async fn without_the_variables_no_thread_exports() {
    let mut forebay = Forebay::builder()
        .env("FOREBAY_MODEL", "simulated")
        .start()
        .await;
    assert!(!forebay.logs().contains("exporting traces"));
    let threads = forebay.thread_names();
    let is_of_export = |name: &String| name.contains("OpenTelemetry") || name.contains("reqwest");
    assert!(
        !threads.iter().any(is_of_export),
        "the threads: {threads:?}"
    );
    forebay.sigterm();
    forebay.wait_exit(Duration::from_secs(60)).await;
}
