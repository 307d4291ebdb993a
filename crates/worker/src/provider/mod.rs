//! The seam between a worker and the services that answer: one call, one reply or one failure.
//!
//! A provider turns a [`Call`] into its own wire form and back. It knows nothing of jobs, lanes,
//! retries or stores: it classifies what went wrong, and the worker decides what follows.
//!
//! In reading order: [`http`] is what all that call over the network share; [`simulated`], [`openai`]
//! and [`gemini`] are the providers; [`registry`] finds the one for a model, [`mod@file`] names more of
//! them.

mod api_client;
mod entry;
mod failure;
pub mod file;
pub mod gemini;
pub mod http;
mod json_body;
pub mod openai;
pub mod registry;
mod retry_after;
mod settings;
pub mod simulated;
mod status;
mod tool_call_id;

use std::time::Duration;

use async_trait::async_trait;
use forebay_shared::{
    job::{FinishReason, JobError, Request, Usage},
    turn::Turn,
};

pub use failure::{Failure, Retry};
pub use registry::{ProviderSettings, Registry};
pub use settings::SettingsError;

/// A service that answers with a model's reply.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The name that a job's `provider` shows.
    fn name(&self) -> &str;

    /// Makes one call. Dropping the future gives the call up and closes its connection, unless it is
    /// shared with others (HTTP/2), where the stream is reset.
    ///
    /// # Errors
    /// [`Failure`], classified: what is shown to the client, and whether another try can help.
    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure>;
}

/// One call of a model.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The model, without the prefix that names the provider.
    pub model: &'a str,
    /// What the job asks; its `input` and `context` are not read here, since `turns` has what is sent.
    pub request: &'a Request,
    /// The turns to send, the job's input last.
    pub turns: &'a [Turn],
    /// The bound on the whole call, connecting and reading included.
    pub timeout: Duration,
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The assistant's turn as it goes into the session, with everything the provider wants back.
    pub turn: Turn,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// What it cost, if the provider said.
    pub usage: Option<Usage>,
}

impl Answer {
    /// The text of the reply; `None` when there is none, as in a reply that only calls tools.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let text = self.turn.content.as_ref()?.to_text();
        (!text.is_empty()).then_some(text)
    }
}

/// What went wrong with a configuration, found before any call.
#[must_use]
pub fn not_configured(provider: &str, variable: &str) -> JobError {
    JobError::new(
        "provider_not_configured",
        format!("the provider {provider} has no key: set {variable} where the worker runs"),
    )
}
