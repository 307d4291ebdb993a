//! Calls the provider, and calls it again with less context while the provider refuses the context as too long. A call that
//! could open no connection, because the limit of open files was reached, is made again too.

use std::{panic::AssertUnwindSafe, sync::Arc};

use forebay_shared::{ids::JobId, job::Request, turn::TOOL_CALLS_MAX};
use forebay_telemetry::{TraceContext, task_context};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::{
    call_outcome::{CallOutcome, CallResult},
    call_span::CallSpan,
    out_of_files,
};
use crate::{
    call_recorder::CallRecorder,
    context::{
        SelectedContext,
        limit::{ContextLimit, RefusedCall},
        overhead_bytes,
        size::InputSize,
    },
    context_limits::ContextLimits,
    provider::{Answer, Call, Failure, Fault, Provider, Retry, origin},
};

/// A call to a provider, with everything that it needs.
pub(super) struct PreparedCall {
    pub(super) job: JobId,
    /// The request without its input, which is in `context`.
    pub(super) request: Box<Request>,
    /// The turns to send, the job's input included.
    pub(super) context: SelectedContext,
    pub(super) provider: Arc<dyn Provider>,
    /// The name of the model at the provider.
    pub(super) model: String,
    /// The known limits, to which a refused call adds the limit of its model.
    pub(super) context_limits: Arc<ContextLimits>,
    pub(super) recorder: Arc<CallRecorder>,
}

impl PreparedCall {
    /// The name of the provider.
    pub(super) fn provider(&self) -> &str {
        self.provider.name()
    }

    /// Calls the provider. While the provider refuses the context as too long and turns can be left out, calls it again with
    /// less context.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would store each of its arguments twice"
    )]
    pub(super) fn run(
        mut self: Box<Self>,
        deadline: Instant,
    ) -> impl Future<Output = CallOutcome> + Send {
        async move {
            let mut refused_calls = 0_u32;
            let failure = loop {
                let mut failure = match self.send(deadline).await {
                    Ok(answer) => {
                        return CallOutcome::Answered(Box::new(self.into_result(answer)));
                    }
                    Err(failure) => failure,
                };
                if failure.fault == Fault::OutOfFiles {
                    // The job keeps its slot, so this slot begins no other call, which would fail too. No try is spent.
                    if Box::pin(out_of_files::wait(failure, deadline)).await {
                        continue;
                    }
                    return CallOutcome::Interrupted;
                }
                if failure.retry != Retry::LessContext {
                    break failure;
                }
                refused_calls += 1;
                if let Err(limit) = self.shorten(&failure, refused_calls) {
                    failure.error.message = shortest_is_too_long(limit, &failure.error.message);
                    break failure;
                }
            };
            CallOutcome::Failed {
                failure: Box::new(failure),
                provider: Some(self.provider().to_owned()),
            }
        }
    }

    /// Leaves out turns until the context fits into the known limit of the model.
    pub(super) fn fit_known_limit(&mut self) {
        if let Some(limit) = self.known_limit() {
            self.fit(&limit);
        }
    }

    fn known_limit(&self) -> Option<ContextLimit> {
        self.context_limits.get(self.provider.name(), &self.model)
    }

    /// The size of all that the call sends.
    fn input_size(&self) -> InputSize {
        self.context
            .size()
            .and(InputSize::of_overhead(&self.request))
    }

    /// Leaves out turns until the context fits into the limit. Returns whether it left out a turn.
    fn fit(&mut self, limit: &ContextLimit) -> bool {
        let overhead = InputSize::of_overhead(&self.request);
        let fits =
            |turns: InputSize| limit.fits(turns.and(overhead), self.request.max_output_tokens);
        !fits(self.context.size()) && self.context.cut_until(fits)
    }

    /// Leaves out turns after a refusal, and remembers the limit of the model.
    ///
    /// # Errors
    /// The limit of the model when no turn can be left out.
    fn shorten(&mut self, failure: &Failure, refused_calls: u32) -> Result<(), ContextLimit> {
        let refused = RefusedCall {
            input: self.input_size(),
            max_output_tokens: self.request.max_output_tokens,
            known: self.known_limit(),
        };
        let stated = failure.context_tokens.as_deref().copied();
        let result = refused.evaluate(stated.unwrap_or_default());
        self.context_limits
            .remember(self.provider.name(), &self.model, result.limit);
        let turns_refused = self.context.turns_sent();
        // A second refusal shows that the estimate is wrong. From then on, each call sends at most half.
        let is_estimate_usable = result.refused_input_is_above_limit && refused_calls == 1;
        let was_cut_to_limit = is_estimate_usable && self.fit(&result.limit);
        let is_shorter = was_cut_to_limit || self.context.halve();
        if !is_shorter {
            return Err(result.limit);
        }
        tracing::debug!(
            job_id = %self.job,
            provider = self.provider(),
            turns_refused,
            turns_sent = self.context.turns_sent(),
            limit_tokens = result.limit.tokens,
            "the provider refused the context as too long; calling it again with less"
        );
        Ok(())
    }

    async fn send(&self, deadline: Instant) -> Result<Answer, Failure> {
        // The span of the attempt, or the client's span if no traces are exported.
        let parent = task_context::current_trace();
        let span = CallSpan::start(&*self.provider, &self.model, &self.request, parent);
        let result = self
            .send_in_trace(span.context().or(parent), deadline)
            .await;
        span.end(result.as_ref());
        result
    }

    async fn send_in_trace(
        &self,
        trace: Option<TraceContext>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let call = Call {
            model: &self.model,
            request: &self.request,
            turns: &self.context.turns,
            timeout: deadline.saturating_duration_since(Instant::now()),
            trace,
        };
        // A panic counts as a failed call. If it ended this task instead, the job would stay `in_progress` until the
        // time limit of its claim, at every attempt.
        let calling = AssertUnwindSafe(self.provider.call(&call)).catch_unwind();
        let without_panic = async {
            calling.await.unwrap_or_else(|_panic| {
                tracing::error!(
                    job_id = %self.job,
                    provider = self.provider(),
                    "the code of a provider panicked; the call counts as failed"
                );
                Err(Failure::new(
                    "internal_error",
                    "the call failed inside the worker",
                    Retry::Backoff,
                ))
            })
        };
        let recorder = &self.recorder;
        let answer = recorder
            .record(&*self.provider, &self.model, without_panic)
            .await?;
        let tool_calls = answer.turn.tool_calls.len();
        if tool_calls > TOOL_CALLS_MAX {
            return Err(Failure::new(
                "invalid_response",
                format!(
                    "the provider's answer has {tool_calls} tool calls; Forebay accepts at most {TOOL_CALLS_MAX}"
                ),
                Retry::Never,
            ));
        }
        Ok(answer)
    }

    fn into_result(self, mut answer: Answer) -> CallResult {
        origin::mark(&mut answer.turn, self.provider.name());
        CallResult {
            answer,
            provider: self.provider.name().to_owned(),
            turns_sent: self.context.turns_sent(),
            turns_dropped: self.context.turns_dropped,
            input_bytes: self.context.sent_bytes + overhead_bytes(&self.request),
            input_size: self.input_size(),
            replace_from_turn: self.request.replace_from_turn,
            turns_before_reply: self.context.into_turns_before_reply(),
            tool_wait_s: self.request.tool_wait_s,
        }
    }
}

/// The message of a job whose shortest context is too long. `message` is the provider's own.
fn shortest_is_too_long(limit: ContextLimit, message: &str) -> String {
    let tokens = if limit.is_stated {
        format!(" of {} tokens", limit.tokens)
    } else {
        String::new()
    };
    format!(
        "even the last message, with the instructions and tools, does not fit into the model's context{tokens}: shorten \
         the message, the instructions or the tools, or lower max_output_tokens; a lower context.max_input_tokens leaves out \
         only earlier messages. {message}"
    )
}
