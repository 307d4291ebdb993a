//! Providers with OpenAI's chat completions API, which many other services offer too:
//! `POST {base}/chat/completions`.
//!
//! - `request` builds the body. `messages`, `message` and `system` write its messages. `known_fields` removes unknown fields.
//! - `response` reads the answer. `content`, `tool_calls`, `usage` and `finish` read its parts.
//! - `reasoning` stores the parts of an answer that must be sent back with tool results.
//! - `error` classifies an error.
//! - `dialect` has the differences between services.
//!
//! All these modules are pure functions. A request has no fields for parameters that the client did not set, except `stream`.
//!
//! # Errors
//!
//! | what happened | code | next try |
//! | --- | --- | --- |
//! | the connection failed, was reset, or ended within the body | `connection_failed` | with backoff |
//! | the server refused three times to begin the request (RFC 9113, section 8.7) | `connection_failed` | with backoff |
//! | connecting, the first byte or the whole call took too long | `provider_timeout` | with backoff |
//! | the body is larger than its limit | `response_too_large` | no |
//! | the body is not JSON, has no list of choices, or calls a tool without a name | `invalid_response` | with backoff |
//! | the body is a stream of events | `invalid_response` | no |
//! | the body is compressed, although the request did not allow it | `invalid_response` | no |
//! | 407 from a proxy | `connection_failed` | with backoff |
//! | an empty list of choices, or a choice without text, tool calls and reasoning | `empty_response` | with backoff |
//! | the finish reason is `error`, `abort`, `insufficient_system_resource` or similar | `provider_error` | with backoff |
//! | the finish reason is unknown | `provider_error` | no |
//! | an error about the length of the context, also with 500 | `context_length_exceeded` | at once, with less context |
//! | 400, 413, 422 and other 4xx | `invalid_request` | no |
//! | 4xx for a request that alone is larger than the rate limit | `invalid_request` | no |
//! | 401, 403, `invalid_api_key`, and Google's `API_KEY_INVALID` | `authentication_failed` | no |
//! | 402, `insufficient_quota`, `billing_hard_limit_reached`, and Google's 429 of a daily quota or a quota of 0 | `insufficient_quota` | no |
//! | 404 about a model, and `model_not_found` | `model_not_found` | no |
//! | other 404 | `endpoint_not_found` | no |
//! | other 429, and `rate_limit_exceeded` | `rate_limited` | after `Retry-After` or Google's `RetryInfo`, or with backoff |
//! | 408, 409, 425, 5xx | `provider_error` | after `Retry-After` or Google's `RetryInfo`, or with backoff |
//! | 3xx; redirects are not followed | `provider_error` | no |
//! | 200 with an `error` in the body | as for that error | as for that error |
//!
//! An answer that stopped for `length` or `content_filter` is a reply, with or without text. An answer with only reasoning is
//! a reply too. The error of an unfinished reply has the reply's text as its detail. Token counts and other fields of
//! unexpected types are left out.

mod content;
mod dialect;
mod error;
mod finish;
mod known_fields;
mod message;
mod messages;
mod reasoning;
mod request;
mod response;
mod system;
mod tool_calls;
mod usage;

use std::time::Duration;

use async_trait::async_trait;
use forebay_shared::secret::Secret;
use forebay_telemetry::genai;
use http::header::{AUTHORIZATION, HeaderName};

use super::{
    Answer, Call, CallTarget, Failure, Provider, SettingsError,
    api_client::{ApiClient, KeyHeader},
    http::{Endpoint, HttpSettings, Received},
    large_body, model_list,
};
use dialect::Dialect;

pub(super) use dialect::OPENAI_HOST;

pub use dialect::MaxTokensField;

/// The settings of an OpenAI-compatible provider.
#[derive(Clone, Debug)]
pub struct OpenAiSettings {
    /// The name of the provider, which jobs show as `provider`.
    pub name: String,
    /// The base URL, up to the version: `https://api.openai.com/v1`.
    pub base_url: Endpoint,
    /// The API key, sent as a bearer token. Local servers need none.
    pub key: Option<Secret>,
    /// The name of the field that limits the tokens of a reply. `None`: the base URL decides.
    pub max_tokens_field: Option<MaxTokensField>,
    /// More headers for every request. Their values are treated as secrets.
    pub headers: Vec<(HeaderName, Secret)>,
    /// The limits of a call, and the protocol.
    pub http: HttpSettings,
}

/// A provider with OpenAI's chat completions API.
pub struct OpenAi {
    name: String,
    base_url: Endpoint,
    completions_url: url::Url,
    models_url: url::Url,
    client: ApiClient,
    dialect: Dialect,
}

impl OpenAi {
    /// Builds the provider with its own connections.
    ///
    /// # Errors
    /// [`SettingsError`] when the key or a header cannot be sent, or when TLS or the proxy cannot be set up.
    pub fn new(settings: OpenAiSettings) -> Result<Self, SettingsError> {
        let key = settings.key.map(|key| KeyHeader {
            name: AUTHORIZATION,
            prefix: "Bearer ",
            key,
        });
        let client = ApiClient::new(
            &settings.name,
            &settings.base_url,
            key,
            settings.headers,
            &settings.http,
        )?;
        let mut dialect = Dialect::of(&settings.base_url);
        if let Some(field) = settings.max_tokens_field {
            dialect.max_tokens_field = field;
        }
        Ok(Self {
            name: settings.name,
            completions_url: settings.base_url.with_segments(&["chat", "completions"]),
            models_url: settings.base_url.with_segments(&["models"]),
            base_url: settings.base_url,
            client,
            dialect,
        })
    }
}

#[async_trait]
impl Provider for OpenAi {
    fn name(&self) -> &str {
        &self.name
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let body = large_body::build(call, || request::body(call, self.dialect, &self.name))?;
        let read = |received: &Received| {
            if received.is_success() {
                response::read(received, call.turns, &self.name)
            } else {
                Err(error::classify(received))
            }
        };
        self.client
            .post(&self.completions_url, body, call, read)
            .await
    }

    fn target(&self) -> CallTarget<'_> {
        CallTarget::of(genai::CHAT, (self.base_url.host(), self.base_url.port()))
    }

    async fn models(&self, timeout: Duration) -> Result<Vec<String>, Failure> {
        let read = |received: &Received| {
            if received.is_success() {
                model_list::read(&received.body)
            } else {
                Err(error::classify(received))
            }
        };
        self.client.get(&self.models_url, timeout, read).await
    }
}
