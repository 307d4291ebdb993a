//! What is known of a request before its handler runs: its id, and the trace that it belongs to, if there is one. Both are in
//! the log lines that concern this request only, and the id is in its answer.

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, Method, StatusCode},
    middleware::Next,
    response::Response,
};
use forebay_metrics::gateway::GatewayMetrics;
use forebay_telemetry::{
    NewSpan, RequestId, Span, SpanKind, TaskContext, TraceContext, http_names, job_names,
    task_context,
};

use futures_util::FutureExt;

use crate::{access_log::AccessLog, request_id, request_metrics::RequestRecord, security_headers};

/// Handles a request in its context, records and logs it, and adds its id to the answer.
///
/// This is not an `async fn`, and it awaits nothing, because its future would then store the request twice.
pub(crate) fn with_context<H: Future<Output = Response> + Send>(
    metrics: GatewayMetrics,
    request: Request,
    handle: impl FnOnce(Request) -> H,
) -> impl Future<Output = Response> + Send {
    let id = request_id::of(request.headers());
    let client_trace = client_trace(request.headers());
    let span = server_span(&request, client_trace, &id);
    let context = TaskContext {
        request_id: Some(id.clone()),
        trace: span.context().or(client_trace),
        ..TaskContext::default()
    };
    let record = RequestRecord::begin(metrics, &request);
    let access_log = AccessLog::begin(&request);
    let span = ServerSpan::new(span);
    let handling = handle(request).map(move |mut response: Response| {
        record.end(&response);
        if let Some(access_log) = access_log {
            access_log.end(&response);
        }
        span.end(response.status());
        let headers = response.headers_mut();
        headers.insert(request_id::HEADER, id.header_value());
        security_headers::add(headers);
        response
    });
    task_context::scope(context, handling)
}

/// Handles a request of the admin listener with its id, which is in its log lines and in its answer.
pub(crate) fn with_id(request: Request, next: Next) -> impl Future<Output = Response> + Send {
    let id = request_id::of(request.headers());
    let context = TaskContext {
        request_id: Some(id.clone()),
        ..TaskContext::default()
    };
    let handling = next.run(request).map(move |mut response: Response| {
        let headers = response.headers_mut();
        headers.insert(request_id::HEADER, id.header_value());
        response
    });
    task_context::scope(context, handling)
}

/// The trace that the client continues: the header `traceparent` (W3C Trace Context, level 1). An invalid header is ignored, as
/// the standard requires.
fn client_trace(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all("traceparent").iter();
    let text = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    TraceContext::parse(text)
}

/// The span of a request. A request that only reads begins no trace of its own, because polls would make up most of the traces.
fn server_span(request: &Request, client_trace: Option<TraceContext>, id: &RequestId) -> Span {
    let method = request.method();
    if client_trace.is_none() && method.is_safe() {
        return Span::NONE;
    }
    let span = Span::start(|| {
        let route = route(request);
        let known = known_method(method).unwrap_or(http_names::OTHER_METHOD_NAME);
        let name = format!("{known} {route}");
        NewSpan::new(SpanKind::Server, name.trim_end().to_owned()).child_of(client_trace)
    });
    if span.is_recording() {
        match known_method(method) {
            Some(known) => span.set(http_names::REQUEST_METHOD, known),
            None => {
                span.set(http_names::REQUEST_METHOD, http_names::OTHER_METHOD);
                let original = method.as_str().to_owned();
                span.set(http_names::REQUEST_METHOD_ORIGINAL, original);
            }
        }
        span.set(http_names::URL_SCHEME, "http");
        span.set(http_names::URL_PATH, request.uri().path().to_owned());
        let route = route(request);
        if !route.is_empty() {
            span.set(http_names::ROUTE, route.to_owned());
        }
        span.set(job_names::REQUEST_ID, id.to_string());
    }
    span
}

/// The pattern of the path; empty for an unknown path.
fn route(request: &Request) -> &str {
    let route = request.extensions().get::<MatchedPath>();
    route.map_or("", MatchedPath::as_str)
}

/// The method, if RFC 9110 or RFC 5789 defines it. Clients can invent any number of other methods, so those share one name.
fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH", "CONNECT", "TRACE",
    ];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

/// The error of a request whose client went away before the answer.
const CANCELLED: &str = "cancelled";

/// The span of a request. If it is dropped before the request has an answer, it records a failure.
struct ServerSpan {
    span: Span,
    has_ended: bool,
}

impl ServerSpan {
    const fn new(span: Span) -> Self {
        Self {
            span,
            has_ended: false,
        }
    }

    fn end(mut self, status: StatusCode) {
        self.has_ended = true;
        describe_end(&self.span, status);
    }
}

impl Drop for ServerSpan {
    fn drop(&mut self) {
        if !self.has_ended {
            self.span.fail(CANCELLED);
        }
    }
}

fn describe_end(span: &Span, status: StatusCode) {
    if !span.is_recording() {
        return;
    }
    span.set(http_names::RESPONSE_STATUS, u64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.as_str());
    }
    task_context::with_current(|context| {
        if let Some(job) = &context.job {
            span.set(job_names::JOB_ID, job.to_string());
        }
        if let Some(session) = &context.session {
            span.set(job_names::SESSION_ID, session.to_string());
        }
    });
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Method};

    use super::{client_trace, known_method};

    #[test]
    fn a_method_that_http_does_not_define_is_unknown() {
        assert_eq!(known_method(&Method::PATCH), Some("PATCH"));
        let invented = Method::from_bytes(b"FETCH").expect("a token");
        assert_eq!(known_method(&invented), None);
        let lower = Method::from_bytes(b"get").expect("a token");
        assert_eq!(known_method(&lower), None);
    }

    #[test]
    fn a_request_continues_one_valid_trace() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace_of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_str(value).expect("the value is valid");
                headers.append("traceparent", value);
            }
            client_trace(&headers).map(|trace| trace.to_string())
        };
        assert_eq!(trace_of(&[valid]).as_deref(), Some(valid));
        assert_eq!(trace_of(&[]), None);
        assert_eq!(trace_of(&["x"]), None);
        assert_eq!(trace_of(&[valid, valid]), None);
    }
}
