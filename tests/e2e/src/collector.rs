//! A collector of traces: an HTTP server on a free port that reads OTLP over HTTP, as protobuf.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tokio_util::task::AbortOnDropHandle;

/// A collector. It ends when it is dropped.
pub struct Collector {
    url: String,
    spans: Arc<Spans>,
    _server: AbortOnDropHandle<()>,
}

struct Spans {
    received: Mutex<Vec<ReceivedSpan>>,
    /// The value of the header `authorization` that exports must have.
    required_key: Mutex<Option<String>>,
    count: watch::Sender<usize>,
}

/// A span that a process has exported.
#[derive(Clone, Debug)]
pub struct ReceivedSpan {
    /// The name of the service (`service.name`).
    pub service: String,
    /// The attributes of the process.
    resource: Vec<KeyValue>,
    /// The span.
    pub span: Span,
}

impl ReceivedSpan {
    /// The id of the trace, in hex.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// The id of the span, in hex.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// The id of the parent, in hex; empty for the first span of a trace.
    #[must_use]
    pub fn parent_id(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    /// The trace and the id of each linked span, in hex.
    #[must_use]
    pub fn linked(&self) -> Vec<(String, String)> {
        let links = self.span.links.iter();
        links
            .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
            .collect()
    }

    /// The value of an attribute as text; empty if the span does not have it.
    #[must_use]
    pub fn attribute(&self, name: &str) -> String {
        text_of(&self.span.attributes, name)
    }

    /// The value of an attribute of the process as text; empty if the process does not have it.
    #[must_use]
    pub fn resource_attribute(&self, name: &str) -> String {
        text_of(&self.resource, name)
    }
}

impl Collector {
    /// Starts a collector.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("the port is known");
        let spans = Arc::new(Spans {
            received: Mutex::default(),
            required_key: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let router = Router::new()
            .route("/v1/traces", post(receive))
            .with_state(Arc::clone(&spans));
        let serving = async move {
            let served = axum::serve(listener, router).await;
            served.expect("the collector serves");
        };
        Self {
            url: format!("http://{address}"),
            spans,
            _server: AbortOnDropHandle::new(tokio::spawn(serving)),
        }
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, accepts only exports with this value of the header `authorization`. Other exports get status 401.
    pub fn require_key(&self, key: &str) {
        let required = self.spans.required_key.lock();
        *required.unwrap_or_else(PoisonError::into_inner) = Some(key.to_owned());
    }

    /// The spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        let spans = self.spans.received.lock();
        spans.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `condition` is true for the spans so far, and returns them.
    ///
    /// # Panics
    /// After `time`, with the names of the spans.
    pub async fn wait_for(
        &self,
        description: &str,
        time: Duration,
        condition: impl Fn(&[ReceivedSpan]) -> bool,
    ) -> Vec<ReceivedSpan> {
        let mut count = self.spans.count.subscribe();
        let reached = timeout(time, count.wait_for(|_| condition(&self.spans()))).await;
        let spans = self.spans();
        if reached.is_err() {
            let names: Vec<_> = spans.iter().map(|span| &span.span.name).collect();
            panic!("timed out after {time:?} waiting for {description}; the spans: {names:?}");
        }
        spans
    }
}

async fn receive(State(spans): State<Arc<Spans>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let required = spans.required_key.lock();
    let required = required.unwrap_or_else(PoisonError::into_inner).clone();
    let key = headers.get("authorization").map(HeaderValue::as_bytes);
    if required.is_some_and(|required| key != Some(required.as_bytes())) {
        return StatusCode::UNAUTHORIZED;
    }
    if headers
        .get("content-type")
        .is_none_or(|kind| kind != "application/x-protobuf")
    {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let received = request.resource_spans.into_iter().flat_map(|of_process| {
        let attributes = of_process.resource.unwrap_or_default().attributes;
        let service = text_of(&attributes, "service.name");
        let spans = of_process.scope_spans.into_iter();
        spans
            .flat_map(|scope| scope.spans)
            .map(move |span| ReceivedSpan {
                service: service.clone(),
                resource: attributes.clone(),
                span,
            })
    });
    let mut all = spans
        .received
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    all.extend(received);
    let count = all.len();
    drop(all);
    spans.count.send_replace(count);
    StatusCode::OK
}

/// The value of an attribute as text; empty if it is absent.
fn text_of(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    found
        .and_then(|attribute| attribute.value.as_ref())
        .map(text)
        .unwrap_or_default()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::ArrayValue(list)) => {
            let texts: Vec<String> = list.values.iter().map(text).collect();
            texts.join(",")
        }
        _ => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string never fails.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
