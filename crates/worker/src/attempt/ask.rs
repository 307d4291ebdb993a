//! The question to a provider, and its answer: asked once more with less context where that helps.

use std::{panic::AssertUnwindSafe, sync::Arc};

use forebay_shared::{
    ids::JobId,
    job::{Request, Usage},
    turn::Turn,
};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::call::Called;
use crate::{
    context::Selected,
    provider::{Answer, Call, Failure, Provider, Retry},
};

/// How often a provider may say within one attempt that it has not begun. HTTP/2 servers do when they close a
/// connection that was just used for one more request; a new one is then made.
const REPEATS_MAX: u32 = 2;

/// A question that can be asked.
pub(super) struct Ask {
    job: JobId,
    /// Its input is in `selected`.
    request: Box<Request>,
    selected: Selected,
    provider: Arc<dyn Provider>,
    model: String,
}

/// A reply, and what it was made of.
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) provider: String,
    /// What goes into the session before the reply.
    pub(super) said: Vec<Turn>,
    pub(super) turns_sent: u32,
    pub(super) turns_dropped: u32,
    pub(super) sent_bytes: u64,
    /// For how long messages of the user wait for the results of the tools that the reply calls.
    pub(super) tool_wait_s: u32,
}

impl Answered {
    /// What the call cost, if the provider said so in a way that can be reckoned with.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.answer.usage.filter(|usage| usage.input_tokens > 0)
    }
}

impl Ask {
    pub(super) const fn new(
        job: JobId,
        request: Box<Request>,
        selected: Selected,
        provider: Arc<dyn Provider>,
        model: String,
    ) -> Self {
        Self {
            job,
            request,
            selected,
            provider,
            model,
        }
    }

    /// Who will be asked.
    pub(super) fn provider(&self) -> &str {
        self.provider.name()
    }

    /// Asks the provider; once more with half the context if it says that this is too long, and again if it
    /// says that it has not begun.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would hold each of its arguments twice"
    )]
    pub(super) fn run(mut self: Box<Self>, limit: Instant) -> impl Future<Output = Called> + Send {
        async move {
            let mut halves_left = 1;
            let mut repeats_left = REPEATS_MAX;
            loop {
                let failure = match self.once(limit).await {
                    Ok(answer) => return Called::Answered(Box::new(self.answered(answer))),
                    Err(failure) => failure,
                };
                let left = match failure.retry {
                    Retry::AtOnce => &mut repeats_left,
                    Retry::LessContext if self.selected.halve() => &mut halves_left,
                    _ => &mut 0,
                };
                if *left == 0 {
                    return Called::Failed {
                        failure,
                        provider: Some(self.provider().to_owned()),
                    };
                }
                *left -= 1;
            }
        }
    }

    async fn once(&self, limit: Instant) -> Result<Answer, Failure> {
        let call = Call {
            model: &self.model,
            request: &self.request,
            turns: &self.selected.turns,
            timeout: limit.saturating_duration_since(Instant::now()),
        };
        // A panic here is the failure of one provider at one request, and counts as a try: left to the
        // timer, the job would come again and again, each time after the whole limit.
        let asked = AssertUnwindSafe(self.provider.call(&call)).catch_unwind();
        asked.await.unwrap_or_else(|_panic| {
            tracing::error!(
                job_id = %self.job,
                provider = self.provider(),
                "a provider's code panicked"
            );
            Err(Failure::new(
                "internal_error",
                "the call failed inside the worker",
                Retry::Backoff,
            ))
        })
    }

    fn answered(self, answer: Answer) -> Answered {
        Answered {
            answer,
            provider: self.provider.name().to_owned(),
            turns_sent: self.selected.sent,
            turns_dropped: self.selected.dropped,
            sent_bytes: self.selected.sent_bytes,
            said: self.selected.into_said(),
            tool_wait_s: self.request.tool_wait_s,
        }
    }
}
