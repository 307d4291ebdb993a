//! The check that one trace leads from the client through the gateway and the worker to the provider.

use std::time::Duration;

use reqwest::header::HeaderValue;
use scripted_provider::ScriptedLlm;
use serde_json::Value;

use crate::{
    client::{Client, id_of},
    collector::{Collector, ReceivedSpan},
};

/// The span of a submit.
pub const SUBMIT: &str = "POST /v1/jobs";
/// The names of the spans of a job that has one attempt with one call. The name of the call's span ends with the model.
pub const SPANS_OF_JOB: [&str; 5] = [
    SUBMIT,
    "send wake",
    "run attempt",
    "chat gpt-test",
    "commit outcome",
];

/// The values of `SpanKind` in OTLP.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;
const INTERNAL: i32 = 1;

/// The trace and the span of a client.
#[derive(Clone, Copy, Debug)]
pub struct ClientTrace {
    /// The id of the trace: 32 hex digits.
    pub trace_id: &'static str,
    /// The id of the client's span: 16 hex digits.
    pub span_id: &'static str,
    /// Whether the client records its trace.
    pub is_sampled: bool,
}

impl ClientTrace {
    fn traceparent(&self) -> String {
        let flags = u8::from(self.is_sampled);
        format!("00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// Submits a job in this trace, and returns its id.
///
/// # Panics
/// If the job is not accepted.
pub async fn submit(client: &Client, job: &Value, trace: ClientTrace) -> String {
    let request = reqwest::Client::new().post(client.url_of("/v1/jobs"));
    let request = request.header("traceparent", trace.traceparent()).json(job);
    let answer = request.send().await.expect("the gateway answers");
    assert_eq!(answer.status(), 202);
    let job: Value = answer.json().await.expect("the answer is JSON");
    id_of(&job).to_owned()
}

/// Waits until the collector has all spans of a job with one attempt.
pub async fn wait(collector: &Collector, trace_id: &str, time: Duration) -> Vec<ReceivedSpan> {
    let has_all = |spans: &[ReceivedSpan]| {
        let of_trace = |name: &str| {
            let mut spans = spans.iter();
            spans.any(|span| span.span.name == name && span.trace_id() == trace_id)
        };
        SPANS_OF_JOB.iter().all(|name| of_trace(name))
    };
    let description = format!("the spans of trace {trace_id}");
    let spans = collector.wait_for(&description, time, has_all).await;
    let of_trace = spans.into_iter().filter(|span| span.trace_id() == trace_id);
    of_trace.collect()
}

/// The span of this name.
///
/// # Panics
/// If there is not exactly one.
#[must_use]
pub fn named<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    let found: Vec<&ReceivedSpan> = spans.iter().filter(|span| span.span.name == name).collect();
    let [only] = found[..] else {
        panic!("{} spans have the name {name}: {found:?}", found.len());
    };
    only
}

/// Asserts that these spans of a job's trace are complete: parents, link, kinds, services, attributes, and the header that the
/// provider got. The job has one call. `services` are the names of the services: the gateway's, then the worker's.
///
/// # Panics
/// If one of them is wrong.
pub fn assert_complete(
    spans: &[ReceivedSpan],
    client: ClientTrace,
    job: &str,
    services: [&str; 2],
    llm: &ScriptedLlm,
) {
    let [submit, wake, attempt, call, commit] = SPANS_OF_JOB.map(|name| named(spans, name));
    assert_eq!(spans.len(), SPANS_OF_JOB.len(), "the spans: {spans:?}");
    for (span, parent_id, kind, service) in [
        (submit, client.span_id, SERVER, services[0]),
        (wake, &submit.id(), PRODUCER, services[0]),
        (attempt, &submit.id(), CONSUMER, services[1]),
        (call, &attempt.id(), CLIENT, services[1]),
        (commit, &attempt.id(), INTERNAL, services[1]),
    ] {
        assert_eq!(span.parent_id(), parent_id, "the parent of {span:?}");
        assert_eq!(span.span.kind, kind, "the kind of {span:?}");
        assert_eq!(span.service, service, "the service of {span:?}");
        assert!(
            span.span.end_time_unix_nano >= span.span.start_time_unix_nano,
            "the times of {span:?}"
        );
    }
    let linked_wake = (client.trace_id.to_owned(), wake.id());
    assert_eq!(attempt.linked(), [linked_wake], "the link of {attempt:?}");
    for span in [submit, wake, attempt] {
        assert_eq!(span.attribute("forebay.job.id"), job, "the job of {span:?}");
    }
    assert_attributes(
        submit,
        &[
            ("http.request.method", "POST"),
            ("http.route", "/v1/jobs"),
            ("http.response.status_code", "202"),
        ],
    );
    assert_attributes(attempt, &[("forebay.job.outcome", "completed")]);
    let address = llm.openai_base_url();
    let port = address
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('/').next());
    assert_attributes(
        call,
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-test"),
            ("gen_ai.response.model", "gpt-test"),
            ("gen_ai.response.finish_reasons", "stop"),
            ("server.address", "127.0.0.1"),
            ("server.port", port.unwrap_or_default()),
        ],
    );
    for tokens in ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"] {
        let count = call.attribute(tokens).parse::<u64>();
        assert!(count.is_ok_and(|count| count > 0), "{tokens} of {call:?}");
    }
    let sent = format!("00-{}-{}-01", client.trace_id, call.id());
    assert_eq!(sent_traceparents(llm, client.trace_id), [sent]);
}

fn assert_attributes(span: &ReceivedSpan, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(span.attribute(name), *value, "{name} of {span:?}");
    }
}

/// The `traceparent` of each request to the provider in this trace.
#[must_use]
pub fn sent_traceparents(llm: &ScriptedLlm, trace_id: &str) -> Vec<String> {
    let recorded = llm.recorded().into_iter();
    let headers = recorded.filter_map(|record| {
        let header: HeaderValue = record.request.headers.get("traceparent")?.clone();
        Some(header.to_str().ok()?.to_owned())
    });
    headers.filter(|text| text.contains(trace_id)).collect()
}
