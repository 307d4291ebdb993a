//! The trait between the worker and the services that run models: a call returns one answer or one failure.
//!
//! A provider translates a [`Call`] into its own wire format, and the response back. It reads only the job's request and the
//! turns to send. It does not know lanes or stores, and it does not repeat calls. It classifies a failure; the worker
//! decides what follows.
//!
//! In reading order:
//! - `failure`: a failed call, and whether a retry can help.
//! - [`http`]: calls over the network.
//! - [`simulated`], [`openai`], [`gemini`]: the providers.
//! - `api_client`, `json_body`, `large_body`, `json_repair`: sending requests and reading answers, for all providers.
//! - `first_reply`: picks the reply if a response has several; `returned_call`: the tool calls of a reply.
//! - `token_counts`, `unfinished`: reading replies, for all providers.
//! - `fault`: the cause of a failure: the call itself or the provider.
//! - `first_byte`: when an answer began to arrive.
//! - `error_body`, `body_text`, `context_length`, `google_error`, `status`, `retry_after`: reading errors, for all providers.
//! - `rate_limit_headers`: the limits that a provider reports.
//! - `tool_call_id`, `tool_name`, `tool_arguments`, `image_type`: the parts of a turn in a form that providers accept.
//! - `origin`: which provider returned a turn.
//! - `definition`, `settings`: the settings of one provider; [`mod@file`]: the settings in the providers file.
//! - `model_list`: the models that a provider lists; `only_model`: calls a provider's only model.
//! - [`registry`]: finds the provider for a model; `routes`: the models that the providers file lists.
//! - `call_accounts`: the accounts of a call.
//! - `summary`: what the log shows of a provider.

mod api_client;
mod body_text;
mod call_accounts;
mod context_length;
mod definition;
mod error_body;
mod failure;
mod fault;
pub mod file;
pub(crate) mod first_byte;
mod first_reply;
pub mod gemini;
mod google_error;
pub mod http;
mod image_type;
mod json_body;
mod json_repair;
mod large_body;
mod model_list;
mod only_model;
pub mod openai;
pub(crate) mod origin;
mod rate_limit_headers;
pub mod registry;
mod retry_after;
mod returned_call;
mod routes;
mod settings;
pub mod simulated;
mod status;
mod summary;
mod token_counts;
mod tool_arguments;
mod tool_call_id;
mod tool_name;
mod unfinished;

use std::time::Duration;

use async_trait::async_trait;
use forebay_shared::{
    account::ReportedLimits,
    job::{FinishReason, JobError, Request, Usage},
    turn::Turn,
};
use forebay_telemetry::{TraceContext, genai};
use http::ReplyMemory;

pub use call_accounts::CallAccounts;
pub use context_length::ContextTokens;
pub use failure::{Failure, Retry};
pub use fault::Fault;
pub use registry::{ProviderRegistry, ProviderSettings};
pub use settings::SettingsError;
pub use summary::{KeyState, ProviderSummary};

/// A service that runs models.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The name that a job's `provider` shows.
    fn name(&self) -> &str;

    /// Makes one call. Dropping the future cancels the call: its connection is closed, or its stream is reset where
    /// calls share a connection (HTTP/2).
    ///
    /// # Errors
    /// [`Failure`]: the error for the client, and whether another try can help.
    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure>;

    /// What a call does and where it goes, for traces and metrics.
    fn target(&self) -> CallTarget<'_> {
        CallTarget::default()
    }

    /// The names of the models that the provider lists.
    ///
    /// # Errors
    /// [`Failure`], also when the provider has no list.
    async fn models(&self, _timeout: Duration) -> Result<Vec<String>, Failure> {
        let message = format!("the provider {} does not list its models", self.name());
        Err(Failure::new("invalid_request", message, Retry::Never))
    }
}

/// One call of a model.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The name of the model, as it is sent to the provider.
    pub model: &'a str,
    /// The request of the job. Providers do not read its `input` and `context`: `turns` holds the turns to send.
    pub request: &'a Request,
    /// The turns to send, the job's input included.
    pub turns: &'a [Turn],
    /// The timeout of the call, connecting and reading included.
    pub timeout: Duration,
    /// The trace that the call belongs to. It is sent as the header `traceparent`.
    pub trace: Option<TraceContext>,
}

/// What a call does and where it goes, for traces and metrics.
#[derive(Clone, Copy, Debug)]
pub struct CallTarget<'a> {
    /// The operation, as OpenTelemetry's conventions name it.
    pub operation: &'static str,
    /// The host and port; `None` without a network call.
    pub server: Option<(&'a str, u16)>,
}

impl Default for CallTarget<'_> {
    fn default() -> Self {
        Self {
            operation: genai::CHAT,
            server: None,
        }
    }
}

impl<'a> CallTarget<'a> {
    /// A call of this operation at the server of a base URL.
    pub(super) fn of(operation: &'static str, server: (&'a str, u16)) -> Self {
        Self {
            operation,
            server: Some(server),
        }
    }
}

/// The answer of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The assistant's turn as the session keeps it, with all data that the provider requires back.
    pub turn: Turn,
    /// The model's reasoning; only of a reply with neither text nor tool calls.
    pub reasoning: Option<String>,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// The tokens that the call used, if the provider reports them.
    pub usage: Option<Usage>,
    /// The name of the model that answered, if the provider reports it. For traces.
    pub model: Option<String>,
    /// The limits in the headers of the answer.
    pub limits: Option<Box<ReportedLimits>>,
    /// The memory of a long answer. It is reserved until the answer is stored.
    pub memory: ReplyMemory,
}

impl Answer {
    /// The text of the reply. `None` if the reply has no text, for example if it only calls tools.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let text = self.turn.content.as_ref()?.to_text();
        (!text.is_empty()).then_some(text)
    }
}

/// The error of a job whose provider has no key.
#[must_use]
pub fn not_configured(provider: &str, variable: &str) -> JobError {
    JobError::new(
        "provider_not_configured",
        format!("the provider {provider} has no key: set {variable} where the worker runs"),
    )
}
