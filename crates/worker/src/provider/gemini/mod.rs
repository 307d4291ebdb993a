//! Google's Gemini, over its native API: `POST {base}/models/{model}:generateContent`.
//!
//! - `request` builds the body: `contents` maps the turns, `functions` their tool calls and results, `image` their images,
//!   `thinking` the reasoning effort, and `signature` stores Gemini's thought signatures.
//! - `response` reads the answer; `parts` reads the parts of its content, and `finish` its finish reason.
//! - `error` classifies an error.
//! - `unsupported` is the failure of a job that this API cannot express.
//!
//! All these modules are pure functions. The key is sent in a header and never in the URL.
//!
//! # Errors
//!
//! Errors of connections, time limits, sizes, compression and invalid JSON have the same codes as for
//! [`openai`](super::openai).
//!
//! | what happened | code | next try |
//! | --- | --- | --- |
//! | the job has something that Gemini's API cannot express | `unsupported_parameter` | no |
//! | an error about the length of the context | `context_length_exceeded` | at once, with less context |
//! | 400 `API_KEY_INVALID`, 401, 403 | `authentication_failed` | no |
//! | 400 and other 4xx | `invalid_request` | no |
//! | 404 about a model | `model_not_found` | no |
//! | other 404 | `endpoint_not_found` | no |
//! | 402, and 429 of a daily quota or a quota of 0 | `insufficient_quota` | no |
//! | other 429 | `rate_limited` | after `RetryInfo` or `Retry-After`, or with backoff |
//! | 408, 409, 425, 5xx | `provider_error` | after `RetryInfo` or `Retry-After`, or with backoff |
//! | 3xx; redirects are not followed | `provider_error` | no |
//! | `promptFeedback.blockReason` | `content_blocked` | no |
//! | no candidate, or a candidate without text, function calls and thoughts | `empty_response` | with backoff |
//! | `MALFORMED_FUNCTION_CALL` or a similar finish reason, or `candidates` of an unexpected type | `invalid_response` | with backoff |
//! | the finish reason `OTHER` | `provider_error` | with backoff |
//! | an unknown finish reason | `provider_error` | no |
//! | a part that is not text, a thought or a function call, such as an image | `unsupported_response` | no |
//! | 200 with an `error` in the body | as for that error | as for that error |
//!
//! An answer that stopped for `MAX_TOKENS`, `SAFETY` or a similar reason is a reply, with or without text. The error of an
//! unfinished reply has the reply's text as its detail. Token counts and other fields of unexpected types are left out.

mod contents;
mod error;
mod finish;
mod functions;
mod image;
mod parts;
mod request;
mod response;
mod signature;
mod thinking;
mod unsupported;

use std::time::Duration;

use async_trait::async_trait;
use forebay_shared::secret::Secret;
use forebay_telemetry::genai;
use http::header::HeaderName;

use super::{
    Answer, Call, CallTarget, Failure, Provider, SettingsError,
    api_client::{ApiClient, KeyHeader},
    http::{Endpoint, HttpSettings, Received},
    large_body, model_list,
};

/// The header that carries the key.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");

/// The settings of the Gemini provider.
#[derive(Clone, Debug)]
pub struct GeminiSettings {
    /// The name of the provider, which jobs show as `provider`.
    pub name: String,
    /// The base URL, up to the version: `https://generativelanguage.googleapis.com/v1beta`.
    pub base_url: Endpoint,
    /// The API key. A gateway in front of Gemini may need none.
    pub key: Option<Secret>,
    /// More headers for every request. Their values are treated as secrets.
    pub headers: Vec<(HeaderName, Secret)>,
    /// The limits of a call, and the protocol.
    pub http: HttpSettings,
}

/// The provider for Gemini's models.
pub struct Gemini {
    name: String,
    base_url: Endpoint,
    client: ApiClient,
}

impl Gemini {
    /// Builds the provider with its own connections.
    ///
    /// # Errors
    /// [`SettingsError`] when the key or a header cannot be sent, or when TLS or the proxy cannot be set up.
    pub fn new(settings: GeminiSettings) -> Result<Self, SettingsError> {
        let key = settings.key.map(|key| KeyHeader {
            name: KEY_HEADER,
            prefix: "",
            key,
        });
        let client = ApiClient::new(
            &settings.name,
            &settings.base_url,
            key,
            settings.headers,
            &settings.http,
        )?;
        Ok(Self {
            name: settings.name,
            base_url: settings.base_url,
            client,
        })
    }
}

#[async_trait]
impl Provider for Gemini {
    fn name(&self) -> &str {
        &self.name
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let body = large_body::build(call, || request::body(call))?;
        // A client chooses the model's name. As one segment of the path, the name cannot lead to another path.
        let model_and_method = format!("{}:generateContent", call.model);
        let url = self.base_url.with_segments(&["models", &model_and_method]);
        let read = |received: &Received| {
            if received.is_success() {
                response::read(received, call.turns)
            } else {
                Err(error::classify(received))
            }
        };
        self.client.post(&url, body, call, read).await
    }

    fn target(&self) -> CallTarget<'_> {
        let server = (self.base_url.host(), self.base_url.port());
        CallTarget::of(genai::GENERATE_CONTENT, server)
    }

    async fn models(&self, timeout: Duration) -> Result<Vec<String>, Failure> {
        let url = self.base_url.with_segments(&["models"]);
        let read = |received: &Received| {
            if received.is_success() {
                model_list::read(&received.body)
            } else {
                Err(error::classify(received))
            }
        };
        self.client.get(&url, timeout, read).await
    }
}
