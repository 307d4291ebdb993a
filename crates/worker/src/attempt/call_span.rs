//! The span of a provider call, with the attributes of OpenTelemetry's conventions for generative AI. It holds no prompt and no
//! reply.

use forebay_shared::job::{FinishReason, Request};
use forebay_telemetry::{NewSpan, Span, SpanKind, TraceContext, genai, task_context};

use crate::provider::{Answer, Failure, Provider};

/// The error of a call that was dropped before it ended, for example because its job was cancelled or the worker stops.
const CANCELLED: &str = "cancelled";

/// The span of a call. A call that is dropped counts as cancelled.
pub(super) struct CallSpan {
    span: Span,
    has_ended: bool,
}

impl CallSpan {
    /// Begins the span of a call. `parent` is the span of the attempt, or the client's span if no traces are exported.
    pub(super) fn start(
        provider: &dyn Provider,
        model: &str,
        request: &Request,
        parent: Option<TraceContext>,
    ) -> Self {
        let span = Span::start(|| {
            let name = format!("{} {model}", provider.target().operation);
            NewSpan::new(SpanKind::Client, name).child_of(parent)
        });
        if span.is_recording() {
            describe(&span, provider, model, request);
        }
        Self {
            span,
            has_ended: false,
        }
    }

    /// The context of the span, for the provider.
    pub(super) fn context(&self) -> Option<TraceContext> {
        self.span.context()
    }

    /// Ends the span with the result of the call.
    pub(super) fn end(mut self, result: Result<&Answer, &Failure>) {
        self.has_ended = true;
        if !self.span.is_recording() {
            return;
        }
        let answer = match result {
            Ok(answer) => answer,
            Err(failure) => {
                self.span.fail(&failure.error.code);
                return;
            }
        };
        let reason = finish_reason(&answer.finish_reason);
        self.span.set(genai::FINISH_REASONS, vec![reason]);
        if let Some(model) = &answer.model {
            self.span.set(genai::RESPONSE_MODEL, model.clone());
        }
        if let Some(usage) = &answer.usage {
            self.span.set(genai::INPUT_TOKENS, usage.input_tokens);
            self.span.set(genai::OUTPUT_TOKENS, usage.output_tokens);
            if let Some(tokens) = usage.cached_input_tokens {
                self.span.set(genai::CACHED_INPUT_TOKENS, tokens);
            }
            if let Some(tokens) = usage.reasoning_tokens {
                self.span.set(genai::REASONING_TOKENS, tokens);
            }
        }
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        if !self.has_ended {
            self.span.fail(CANCELLED);
        }
    }
}

fn describe(span: &Span, provider: &dyn Provider, model: &str, request: &Request) {
    let target = provider.target();
    span.set(genai::OPERATION, target.operation);
    let name = genai::provider_name(provider.name());
    span.set(genai::PROVIDER, name.to_owned());
    span.set(genai::REQUEST_MODEL, model.to_owned());
    if let Some((host, port)) = target.server {
        span.set(genai::SERVER_ADDRESS, host.to_owned());
        span.set(genai::SERVER_PORT, u64::from(port));
    }
    if let Some(tokens) = request.max_output_tokens {
        span.set(genai::REQUEST_MAX_TOKENS, u64::from(tokens));
    }
    if let Some(temperature) = request.temperature {
        span.set(genai::REQUEST_TEMPERATURE, temperature);
    }
    if let Some(top_p) = request.top_p {
        span.set(genai::REQUEST_TOP_P, top_p);
    }
    if let Some(session) = task_context::current().session {
        span.set(genai::CONVERSATION, session.to_string());
    }
}

/// The reason as the conventions write it.
fn finish_reason(reason: &FinishReason) -> String {
    String::from(match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::PartialResults | FinishReason::Unknown(_) => "other",
    })
}
