//! A span of a trace. While no traces are exported, a span is an empty value and its methods do nothing.

use std::{
    borrow::Cow,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue, StringValue, Value,
    trace::{
        Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind as ApiKind, Status,
        TraceContextExt, TraceFlags, TraceId, TraceState, Tracer as _,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};

use crate::{export, messaging_names, trace_context::TraceContext};

/// The attribute that names what went wrong. OpenTelemetry semantic conventions 1.44.0.
const ERROR_TYPE: &str = "error.type";

/// The longest text of a span, in bytes. Longer ones are cut.
const TEXT_BYTES_MAX: usize = 256;
/// The most texts of one attribute.
const TEXTS_MAX: usize = 16;

/// The role of a span among the processes of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Handles a request of a client.
    Server,
    /// Calls a server.
    Client,
    /// Sends a message.
    Producer,
    /// Handles a message.
    Consumer,
    /// Anything else.
    Internal,
}

impl SpanKind {
    const fn to_api(self) -> ApiKind {
        match self {
            Self::Server => ApiKind::Server,
            Self::Client => ApiKind::Client,
            Self::Producer => ApiKind::Producer,
            Self::Consumer => ApiKind::Consumer,
            Self::Internal => ApiKind::Internal,
        }
    }
}

/// A span that is not started yet.
#[derive(Clone, Debug)]
pub struct NewSpan {
    kind: SpanKind,
    name: Cow<'static, str>,
    parent: Option<TraceContext>,
    linked_to: Option<TraceContext>,
    age: Duration,
}

impl NewSpan {
    /// A span that begins a new trace. The name should have few different values. Only the name of a provider call
    /// contains a model.
    #[must_use]
    pub fn new(kind: SpanKind, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            name: name.into(),
            parent: None,
            linked_to: None,
            age: Duration::ZERO,
        }
    }

    /// Makes the span a part of its parent's trace. With `None` it begins a new trace.
    #[must_use]
    pub const fn child_of(mut self, parent: Option<TraceContext>) -> Self {
        self.parent = parent;
        self
    }

    /// Links the span to another span that caused it.
    #[must_use]
    pub const fn linked_to(mut self, cause: Option<TraceContext>) -> Self {
        self.linked_to = cause;
        self
    }

    /// Makes the span begin this long before its start, because its work began then.
    #[must_use]
    pub const fn begun_before(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    fn start(self, tracer: &SdkTracer) -> SdkSpan {
        let parent = match &self.parent {
            Some(parent) => Context::new().with_remote_span_context(to_api(parent)),
            None => Context::new(),
        };
        let name = match self.name {
            Cow::Owned(name) => Cow::Owned(bounded(name)),
            Cow::Borrowed(_) => self.name,
        };
        let mut builder = SpanBuilder::from_name(name).with_kind(self.kind.to_api());
        if !self.age.is_zero() {
            builder.start_time = SystemTime::now().checked_sub(self.age);
        }
        if let Some(cause) = &self.linked_to {
            builder.links = Some(vec![Link::with_context(to_api(cause))]);
        }
        tracer.build_with_context(builder, &parent)
    }
}

/// A span. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Mutex<SdkSpan>>>);

impl Span {
    /// No span.
    pub const NONE: Self = Self(None);

    /// Whether traces are exported.
    #[must_use]
    pub fn is_exported() -> bool {
        export::tracer().is_some()
    }

    /// Starts a span, if traces are exported. `new` is called only then.
    #[must_use]
    pub fn start(new: impl FnOnce() -> NewSpan) -> Self {
        Self(export::tracer().map(|tracer| Box::new(Mutex::new(new().start(tracer)))))
    }

    /// The context of the span, for its children and for other processes. `None` if no traces are exported.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        let span = self.lock()?;
        let context = span.span_context();
        Some(TraceContext::local(
            u128::from_be_bytes(context.trace_id().to_bytes()),
            u64::from_be_bytes(context.span_id().to_bytes()),
            context.trace_flags().to_u8(),
        ))
    }

    /// Whether the span keeps its attributes: only if its trace is sampled.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.lock().is_some_and(|span| span.is_recording())
    }

    /// Sets an attribute.
    pub fn set(&self, name: &'static str, value: impl Into<Attribute>) {
        if let Some(mut span) = self.lock()
            && span.is_recording()
        {
            span.set_attribute(KeyValue::new(name, value.into().0));
        }
    }

    /// Sets the attributes of a span that sends or handles a message of this queue.
    pub fn set_message(&self, operation: &'static str, queue: String) {
        self.set(messaging_names::SYSTEM, messaging_names::FOREBAY);
        self.set(messaging_names::OPERATION_NAME, operation);
        self.set(messaging_names::OPERATION_TYPE, operation);
        self.set(messaging_names::DESTINATION, queue);
    }

    /// Marks the span as failed. `error_type` has few different values.
    pub fn fail(&self, error_type: &str) {
        if let Some(mut span) = self.lock()
            && span.is_recording()
        {
            span.set_attribute(KeyValue::new(ERROR_TYPE, bounded(error_type.to_owned())));
            span.set_status(Status::error(""));
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, SdkSpan>> {
        let span = self.0.as_ref()?;
        Some(span.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The value of an attribute.
#[derive(Clone, Debug)]
pub struct Attribute(Value);

impl From<&'static str> for Attribute {
    fn from(text: &'static str) -> Self {
        Self(Value::from(text))
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self(Value::from(bounded(text)))
    }
}

impl From<Vec<String>> for Attribute {
    fn from(texts: Vec<String>) -> Self {
        let texts = texts.into_iter().take(TEXTS_MAX);
        let texts: Vec<StringValue> = texts.map(|text| bounded(text).into()).collect();
        Self(Value::Array(texts.into()))
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self(Value::I64(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<bool> for Attribute {
    fn from(flag: bool) -> Self {
        Self(Value::Bool(flag))
    }
}

impl From<f64> for Attribute {
    fn from(number: f64) -> Self {
        Self(Value::F64(number))
    }
}

/// Cuts a text to the length that a span keeps, because spans wait in memory and a client chooses some of their texts.
fn bounded(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    // A new text: a truncated `String` would keep its capacity.
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

fn to_api(context: &TraceContext) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(context.trace_id().to_be_bytes()),
        SpanId::from_bytes(context.span_id().to_be_bytes()),
        TraceFlags::new(context.flags()),
        context.is_remote(),
        TraceState::NONE,
    )
}

#[cfg(test)]
mod tests {
    use super::{NewSpan, Span, SpanKind, TEXT_BYTES_MAX, bounded};

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(bounded("é".repeat(128)), "é".repeat(128));
        let cut = bounded(format!("a{}", "é".repeat(60_000)));
        assert_eq!(cut.len(), TEXT_BYTES_MAX - 1);
        assert!(cut.capacity() <= TEXT_BYTES_MAX);
    }

    #[test]
    fn without_an_export_a_span_is_never_built() {
        let span = Span::start(|| unreachable!("no traces are exported"));
        span.set("name", "value");
        span.fail("code");
        assert_eq!(span.context(), None);
        assert!(!span.is_recording());
        assert!(!Span::NONE.is_recording());
        let _unstarted = NewSpan::new(SpanKind::Internal, "commit");
    }
}
