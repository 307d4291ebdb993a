//! Chat completions, as OpenAI has them and many others offer too: `POST {base}/chat/completions`.
//!
//! Its parts are pure: `request` makes the body, `response` reads the answer, `reasoning` says what of it
//! goes back with tool calls, `fault` classifies an error. What the client did not give is not sent.
//!
//! # What goes wrong, and what follows
//!
//! | what came | code | another try |
//! | --- | --- | --- |
//! | no connection, a reset, a body cut off | `connection_failed` | after a growing pause |
//! | a request that the server says it has not begun (RFC 9113, section 8.7) | `connection_failed` | at once |
//! | connecting, the first byte or the whole call took too long | `provider_timeout` | after a growing pause |
//! | a body over the bound | `response_too_large` | no |
//! | a body that is not JSON or of another shape | `invalid_response` | after a growing pause |
//! | a compressed body, which was not asked for | `invalid_response` | no |
//! | 407 of a proxy | `connection_failed` | after a growing pause |
//! | no choice, or one that stopped with neither text nor tool calls | `empty_response` | after a growing pause |
//! | an error that says the context is too long | `context_length_exceeded` | once, with less context |
//! | 400, 413, 422 and other 4xx | `invalid_request` | no |
//! | 401, 403 | `authentication_failed` | no |
//! | 402, and 429 with `insufficient_quota` | `insufficient_quota` | no |
//! | 404, and `model_not_found` | `model_not_found` | no |
//! | 429 | `rate_limited` | as `Retry-After` says, else after a growing pause |
//! | 408, 409, 425, 5xx | `provider_error` | as `Retry-After` says, else after a growing pause |
//! | 3xx, never followed | `provider_error` | no |
//! | 200 with an `error` in the body | as that error | as that error |
//!
//! Stops for `length` and `content_filter` are replies, with or without text.

mod fault;
mod reasoning;
mod request;
mod response;

use async_trait::async_trait;
use forebay_shared::secret::Secret;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};

pub use request::MaxTokensField;

use super::{
    Answer, Call, Failure, Provider, SettingsError,
    http::{Endpoint, HttpSettings, JsonClient},
    settings::header_value,
};

/// OpenAI's own host, which differs from its imitators in small things.
const OPENAI_HOST: &str = "api.openai.com";

/// What an OpenAI-compatible provider needs to know.
#[derive(Clone, Debug)]
pub struct OpenAiSettings {
    /// The name that jobs show as their `provider`.
    pub name: String,
    /// Where it is, up to the version: `https://api.openai.com/v1`.
    pub base_url: Endpoint,
    /// Its key, sent as a bearer token; local servers need none.
    pub key: Option<Secret>,
    /// How the bound on a reply's tokens is named; `None` decides by the base URL.
    pub max_tokens_field: Option<MaxTokensField>,
    /// Further headers for every request. Their values are treated as secrets.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Bounds and protocol.
    pub http: HttpSettings,
}

/// A provider with OpenAI's chat completions.
pub struct OpenAi {
    name: String,
    url: url::Url,
    client: JsonClient,
    dialect: request::Dialect,
    secrets: Vec<Secret>,
}

impl OpenAi {
    /// Builds the provider with a pool of connections of its own.
    ///
    /// # Errors
    /// [`SettingsError`] when the key or a header cannot be sent, or TLS cannot be set up.
    pub fn new(settings: OpenAiSettings) -> Result<Self, SettingsError> {
        let mut headers = HeaderMap::new();
        let mut secrets = Vec::new();
        if let Some(key) = settings.key {
            let bearer = Secret::new(&format!("Bearer {}", key.expose()));
            headers.insert(AUTHORIZATION, header_value(&settings.name, "key", &bearer)?);
            secrets.push(key);
        }
        for (name, value) in settings.headers {
            let sent = header_value(&settings.name, name.as_str(), &value)?;
            headers.insert(name, sent);
            secrets.push(value);
        }
        let client = JsonClient::new(settings.http, &settings.base_url, headers)
            .map_err(|source| SettingsError::Client(settings.name.clone(), source))?;
        let is_openai = settings.base_url.is_host(OPENAI_HOST);
        Ok(Self {
            name: settings.name,
            url: settings.base_url.with_segments(&["chat", "completions"]),
            client,
            dialect: request::Dialect {
                max_tokens_field: settings.max_tokens_field.unwrap_or(if is_openai {
                    MaxTokensField::MaxCompletionTokens
                } else {
                    MaxTokensField::MaxTokens
                }),
                extra_content: !is_openai,
            },
            secrets,
        })
    }
}

#[async_trait]
impl Provider for OpenAi {
    fn name(&self) -> &str {
        &self.name
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let body = request::body(call, self.dialect, &self.name)?;
        let received = self.client.post(&self.url, body, call.timeout).await?;
        let outcome = if received.is_success() {
            response::read(&received.body, call.turns, &self.name)
        } else {
            Err(fault::classify(
                received.status,
                received.retry_after_ms,
                &received.body,
            ))
        };
        outcome.map_err(|failure| failure.without(&self.secrets))
    }
}
