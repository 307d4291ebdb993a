//! One trace leads from the client's `traceparent` through the gateway, RabbitMQ and the worker to the provider.

use e2e::{
    client::id_of,
    collector::Collector,
    fleet::{Fleet, TIMEOUT},
    trace_tree::{self, ClientTrace},
};
use scripted_provider::ScriptedLlm;
use serde_json::json;

use crate::test_lock;

const FIRST: ClientTrace = ClientTrace {
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    span_id: "b7ad6b7169203331",
    is_sampled: true,
};
const SECOND: ClientTrace = ClientTrace {
    trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
    span_id: "00f067aa0ba902b7",
    is_sampled: true,
};
const UNSAMPLED: ClientTrace = ClientTrace {
    trace_id: "5b8efff798038103d269b633813fc60c",
    span_id: "eee19b7ec3c1b174",
    is_sampled: false,
};
const SERVICES: [&str; 2] = ["forebay-gateway", "forebay-worker"];

async fn start(llm: &ScriptedLlm, collector: &Collector) -> Fleet {
    let fleet = Fleet::builder().gateways(1).workers(1).openai(llm);
    fleet
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .start()
        .await
}

#[tokio::test]
async fn one_trace_leads_from_the_client_to_the_provider() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let collector = Collector::start().await;
    let fleet = start(&llm, &collector).await;

    let job = json!({ "session_id": "chat", "input": "unsampled" });
    let unsampled = trace_tree::submit(&fleet.client, &job, UNSAMPLED).await;
    let job = fleet.client.wait(&unsampled, TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");

    let job = json!({ "session_id": "chat", "input": "hello" });
    let id = trace_tree::submit(&fleet.client, &job, FIRST).await;
    let job = fleet.client.wait(&id, TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
    let spans = trace_tree::wait(&collector, FIRST.trace_id, TIMEOUT).await;
    trace_tree::assert_complete(&spans, FIRST, &id, SERVICES, &llm);
    let call = trace_tree::named(&spans, "chat gpt-test");
    assert_eq!(call.attribute("gen_ai.conversation.id"), "chat");

    // The client does not record this trace, so no process does. The provider still learns which trace it is.
    let all = collector.spans();
    assert!(
        all.iter().all(|span| span.trace_id() != UNSAMPLED.trace_id),
        "a span of an unsampled trace was exported: {all:?}"
    );
    let sent = trace_tree::sent_traceparents(&llm, UNSAMPLED.trace_id);
    assert!(
        sent.len() == 1 && sent[0].ends_with("-00"),
        "the provider got {sent:?}"
    );
}

#[tokio::test]
async fn a_job_that_waited_in_its_session_keeps_its_own_trace() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let collector = Collector::start().await;
    let fleet = start(&llm, &collector).await;
    let job = |text: &str| json!({ "session_id": "chat", "input": text });
    trace_tree::submit(&fleet.client, &job("first"), FIRST).await;
    llm.wait_for_requests(1).await;
    let second = trace_tree::submit(&fleet.client, &job("second"), SECOND).await;
    gate.open();
    let job = fleet.client.wait(&second, TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");

    let is_attempt = |span: &e2e::collector::ReceivedSpan| {
        span.span.name == "run attempt" && span.attribute("forebay.job.id") == second
    };
    let spans = collector
        .wait_for("the second attempt", TIMEOUT, |spans| {
            spans.iter().any(is_attempt)
        })
        .await;
    let attempt = spans.iter().find(|span| is_attempt(span));
    let attempt = attempt.expect("the attempt has a span");
    assert_eq!(attempt.trace_id(), SECOND.trace_id);
    // The attempt of the first job has sent the wake of the second.
    let linked = attempt.linked();
    let [(trace_id, wake_id)] = &linked[..] else {
        panic!("the attempt is linked to {linked:?}");
    };
    assert_eq!(trace_id, FIRST.trace_id);
    let has_wake = |spans: &[e2e::collector::ReceivedSpan]| {
        let mut spans = spans.iter();
        spans.any(|span| {
            span.id() == *wake_id
                && span.span.name == "send wake"
                && span.service == SERVICES[1]
                && span.attribute("forebay.job.id") == second
        })
    };
    collector
        .wait_for("the span of the wake", TIMEOUT, has_wake)
        .await;
}

#[tokio::test]
async fn without_otel_settings_the_trace_of_the_client_still_reaches_the_provider() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let fleet = Fleet::builder().gateways(1).workers(1).openai(&llm);
    let fleet = fleet.start().await;
    let job = json!({ "input": "hello" });
    let id = trace_tree::submit(&fleet.client, &job, FIRST).await;
    assert_eq!(fleet.client.wait(&id, TIMEOUT).await["status"], "completed");
    let sent = trace_tree::sent_traceparents(&llm, FIRST.trace_id);
    assert_eq!(
        sent,
        [format!("00-{}-{}-01", FIRST.trace_id, FIRST.span_id)]
    );

    let untraced = id_of(&fleet.client.submit_until_ok(&job, TIMEOUT).await).to_owned();
    fleet.client.wait(&untraced, TIMEOUT).await;
    let recorded = llm.recorded();
    let last = recorded.last().expect("the second job was called");
    assert!(!last.request.headers.contains_key("traceparent"));
}
