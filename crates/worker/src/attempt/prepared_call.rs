//! Asks the provider, and asks again within the attempt where that can help at once.

use std::{panic::AssertUnwindSafe, sync::Arc};

use forebay_shared::{ids::JobId, job::Request};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::call_outcome::{CallOutcome, CallResult};
use crate::{
    context::SelectedContext,
    provider::{Answer, Call, Failure, Provider, Retry},
};

/// How often a request that the provider has not begun to process is sent again within one attempt.
///
/// An HTTP/2 server may refuse a request when it closes the connection. The request then goes over a new
/// connection.
const RESENDS_MAX: u32 = 2;

/// How often the context is shortened within one attempt.
const HALVINGS_MAX: u32 = 1;

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
    /// Prepares a call of `provider`. `context` holds the turns to send, and with them the input.
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

    /// Asks the provider.
    ///
    /// The request is sent again with half the context when the provider finds it too long, and unchanged
    /// when the provider has not begun to process it.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would store each of its arguments twice"
    )]
    pub(super) fn run(
        mut self: Box<Self>,
        deadline: Instant,
    ) -> impl Future<Output = CallOutcome> + Send {
        async move {
            let mut halvings_left = HALVINGS_MAX;
            let mut resends_left = RESENDS_MAX;
            loop {
                let failure = match self.send(deadline).await {
                    Ok(answer) => return CallOutcome::Answered(Box::new(self.into_result(answer))),
                    Err(failure) => failure,
                };
                let left = match failure.retry {
                    Retry::AtOnce => &mut resends_left,
                    Retry::LessContext if self.context.halve() => &mut halvings_left,
                    _ => &mut 0,
                };
                if *left == 0 {
                    return CallOutcome::Failed {
                        failure,
                        provider: Some(self.provider().to_owned()),
                    };
                }
                *left -= 1;
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
        // A panic counts as a failure of the provider. Otherwise only the end of the claim would lead to
        // another attempt, and every attempt would last that long.
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

    fn into_result(self, answer: Answer) -> CallResult {
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
