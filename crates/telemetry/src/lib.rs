//! What a task works on: the ids in its log lines, and its spans.
//!
//! In reading order:
//! - `trace_context`: the W3C trace context, as jobs, wakes and headers carry it.
//! - `request_id`: the id of an HTTP request.
//! - [`task_context`]: the request, job, session and trace of the current task. Log lines show them as fields.
//! - `span`: a span of a trace. It costs nothing while no traces are exported.
//! - [`genai`], [`http_names`], [`messaging_names`], [`job_names`]: the names of the spans' attributes.
//! - [`export`]: reads the `OTEL_*` variables, and sends the spans to a collector.
//!
//! Only this crate uses OpenTelemetry's libraries. Prompts, replies and keys are in no span.

pub mod export;
pub mod genai;
pub mod http_names;
pub mod job_names;
pub mod messaging_names;
mod request_id;
mod span;
pub mod task_context;
mod trace_context;

pub use request_id::RequestId;
pub use span::{NewSpan, Span, SpanKind};
pub use task_context::TaskContext;
pub use trace_context::TraceContext;
