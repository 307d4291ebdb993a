//! Calls the provider, and calls it again with less context if the provider refuses the context as too long.

use std::{panic::AssertUnwindSafe, sync::Arc};

use forebay_shared::{ids::JobId, job::Request};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::call_outcome::{CallOutcome, CallResult};
use crate::{
    context::SelectedContext,
    provider::{Answer, Call, Failure, Provider, Retry, origin},
};

/// A call with everything that it needs.
pub(super) struct PreparedCall {
    job: JobId,
    /// The request without its input, which is in `context`.
    request: Box<Request>,
    context: SelectedContext,
    provider: Arc<dyn Provider>,
    model: String,
}

impl PreparedCall {
    /// Prepares a call of `provider`. `context` contains the turns to send, the job's input included.
    pub(super) const fn new(
        job: JobId,
        request: Box<Request>,
        context: SelectedContext,
        provider: Arc<dyn Provider>,
        model: String,
    ) -> Self {
        Self {
            job,
            request,
            context,
            provider,
            model,
        }
    }

    /// The name of the provider.
    pub(super) fn provider(&self) -> &str {
        self.provider.name()
    }

    /// Calls the provider, and calls it once more with half the context if the provider finds the context too
    /// long.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would store each of its arguments twice"
    )]
    pub(super) fn run(
        mut self: Box<Self>,
        deadline: Instant,
    ) -> impl Future<Output = CallOutcome> + Send {
        async move {
            let mut result = self.send(deadline).await;
            if let Err(failure) = &result
                && failure.retry == Retry::LessContext
                && self.context.halve()
            {
                result = self.send(deadline).await;
            }
            match result {
                Ok(answer) => CallOutcome::Answered(Box::new(self.into_result(answer))),
                Err(failure) => CallOutcome::Failed {
                    failure,
                    provider: Some(self.provider().to_owned()),
                },
            }
        }
    }

    async fn send(&self, deadline: Instant) -> Result<Answer, Failure> {
        let call = Call {
            model: &self.model,
            request: &self.request,
            turns: &self.context.turns,
            timeout: deadline.saturating_duration_since(Instant::now()),
        };
        // A panic counts as a failed call. If it ended this task instead, the job would stay `in_progress` until the
        // time limit of its claim, at every attempt.
        let answer = AssertUnwindSafe(self.provider.call(&call)).catch_unwind();
        answer.await.unwrap_or_else(|_panic| {
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
    }

    fn into_result(self, mut answer: Answer) -> CallResult {
        origin::mark(&mut answer.turn, self.provider.name());
        CallResult {
            answer,
            provider: self.provider.name().to_owned(),
            turns_sent: self.context.turns_sent(),
            turns_dropped: self.context.turns_dropped,
            sent_bytes: self.context.sent_bytes,
            turns_before_reply: self.context.into_turns_before_reply(),
            tool_wait_s: self.request.tool_wait_s,
        }
    }
}
