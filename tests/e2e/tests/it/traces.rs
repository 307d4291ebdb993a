//! Traces of one process: complete at a collector, and harmless without one.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use e2e::{
    collector::{Collector, ReceivedSpan},
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
    let threads = fixture.forebay.thread_names();
    assert!(
        threads.iter().any(|name| is_export_thread(name)),
        "the threads: {threads:?}"
    );
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
    // The client sent no `traceparent`, so the submit has begun a trace.
    let submit = trace_tree::named(&spans, trace_tree::SUBMIT);
    assert_eq!(submit.parent_id(), "");
}

#[tokio::test]
async fn a_collector_that_does_not_answer_disturbs_no_job() {
    let began = Instant::now();
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
    let lines = log.matches(NOT_EXPORTED).count() as u64;
    let lines_max = 1 + began.elapsed().as_secs() / 60;
    assert!((1..=lines_max).contains(&lines), "{lines} lines: {log}");
    // The spans that were not reported with these lines are reported at the exit.
    assert!(log.contains("the last spans were not sent"), "{log}");
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
async fn a_retry_is_another_attempt_of_the_same_trace() {
    let collector = Collector::start().await;
    let delay = ("OTEL_BSP_SCHEDULE_DELAY", "50");
    let backoff = ("FOREBAY_BACKOFF_MS", "1");
    let fixture = Fixture::with(&[(ENDPOINT, collector.url()), delay, backoff]).await;
    let has_failed = AtomicBool::new(false);
    fixture.llm.add_rule(move |_| {
        let error = || scripted_provider::ProviderError::server_error().into();
        (!has_failed.swap(true, Relaxed)).then(error)
    });
    let id = trace_tree::submit(&fixture.client, &json!({ "input": "hello" }), TRACE).await;
    assert_eq!(fixture.wait(&id).await["status"], "completed");
    let is_attempt = |span: &&ReceivedSpan| span.span.name == "run attempt";
    let spans = collector
        .wait_for("both attempts", TIMEOUT, |spans| {
            spans.iter().filter(is_attempt).count() >= 2
        })
        .await;
    let mut attempts: Vec<&ReceivedSpan> = spans.iter().filter(is_attempt).collect();
    attempts.sort_by_key(|span| span.attribute("forebay.job.attempt"));
    let [first, second] = attempts[..] else {
        panic!("{attempts:?}");
    };
    let submit = trace_tree::named(&spans, trace_tree::SUBMIT);
    for attempt in [first, second] {
        assert_eq!(attempt.trace_id(), TRACE.trace_id);
        assert_eq!(attempt.parent_id(), submit.id());
    }
    assert_ne!(first.attribute("error.type"), "");
    assert_eq!(first.attribute("forebay.job.is_retried"), "true");
    assert_eq!(second.attribute("error.type"), "");
    assert_eq!(second.attribute("forebay.job.outcome"), "completed");
    // The wake of a retry comes from the sweeper.
    assert_eq!(second.linked(), []);
}

#[tokio::test]
async fn a_request_whose_client_goes_away_is_cancelled() {
    let collector = Collector::start().await;
    let delay = ("OTEL_BSP_SCHEDULE_DELAY", "50");
    let fixture = Fixture::with(&[(ENDPOINT, collector.url()), delay]).await;
    let gate = fixture.llm.gate_all_requests();
    let id = fixture.submit(&json!({ "input": "hello" })).await;
    fixture.llm.wait_for_requests(1).await;
    let path = format!("/v1/jobs/{id}?wait_s=60");
    let poll = reqwest::Client::new()
        .get(fixture.client.url_of(&path))
        .header(
            "traceparent",
            format!("00-{}-{}-01", TRACE.trace_id, TRACE.span_id),
        )
        .timeout(Duration::from_secs(1));
    let error = poll.send().await.expect_err("the job does not end");
    assert!(error.is_timeout(), "{error}");
    let is_poll = |span: &ReceivedSpan| span.span.name == "GET /v1/jobs/{id}";
    let spans = collector
        .wait_for("the span of the poll", TIMEOUT, |spans| {
            spans
                .iter()
                .any(|span| is_poll(span) && span.trace_id() == TRACE.trace_id)
        })
        .await;
    let poll = trace_tree::named(&spans, "GET /v1/jobs/{id}");
    assert_eq!(poll.attribute("error.type"), "cancelled", "{poll:?}");
    gate.open();
}

#[tokio::test]
async fn a_collector_that_has_refused_spans_gets_later_spans() {
    const KEY: &str = "Bearer the-key-of-the-collector";
    let collector = Collector::start().await;
    collector.require_key("another key");
    let traces_endpoint = format!("{}/v1/traces", collector.url());
    let fixture = Fixture::with(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &traces_endpoint),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20the-key-of-the-collector",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ])
    .await;
    let ignored = "OTEL_EXPORTER_OTLP_COMPRESSION must be none";
    assert!(fixture.forebay.logs().contains(ignored));
    let id = fixture.submit(&json!({ "input": "hello" })).await;
    fixture.wait(&id).await;
    fixture.forebay.wait_for_log(NOT_EXPORTED, TIMEOUT).await;

    collector.require_key(KEY);
    let id = trace_tree::submit(&fixture.client, &json!({ "input": "hello" }), TRACE).await;
    fixture.wait(&id).await;
    let spans = trace_tree::wait(&collector, TRACE.trace_id, TIMEOUT).await;
    for (name, value) in [
        ("deployment.environment.name", "test"),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(spans[0].resource_attribute(name), value);
    }
    let again = "traces are exported again";
    fixture.forebay.wait_for_log(again, TIMEOUT).await;
    assert!(!fixture.forebay.logs().contains(KEY));
}

fn is_export_thread(name: &str) -> bool {
    name.contains("OpenTelemetry") || name.contains("reqwest")
}

#[tokio::test]
async fn without_otel_settings_no_thread_exports() {
    let mut forebay = Forebay::builder()
        .env("FOREBAY_MODEL", "simulated")
        .start()
        .await;
    assert!(!forebay.logs().contains("exporting traces"));
    let threads = forebay.thread_names();
    assert!(
        !threads.iter().any(|name| is_export_thread(name)),
        "the threads: {threads:?}"
    );
    forebay.sigterm();
    forebay.wait_exit(Duration::from_secs(60)).await;
}
