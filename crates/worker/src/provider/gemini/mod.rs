//! Google's Gemini, by its native call: `POST {base}/models/{model}:generateContent`.
//!
//! Its parts are pure: `request` makes the body, with `contents` for the turns and `thinking` for
//! the effort; `response` reads the answer, with `parts` for what it holds; `fault` classifies an error,
//! with `quota` for those that will not pass. The key goes in a header and never in the URL. What a job
//! asks and Gemini cannot do is a failure `unsupported_parameter`.
//!
//! # What goes wrong, and what follows
//!
//! Connections, times and sizes are as for [`openai`](super::openai). Besides:
//!
//! | what came | code | another try |
//! | --- | --- | --- |
//! | 400 that counts too many tokens | `context_length_exceeded` | once, with less context |
//! | 400 `API_KEY_INVALID`, 401, 403 | `authentication_failed` | no |
//! | other 4xx | `invalid_request` | no |
//! | 404 | `model_not_found` | no |
//! | 429 of a quota for a day, or of 0 | `insufficient_quota` | no |
//! | other 429 | `rate_limited` | as `RetryInfo` or `Retry-After` says, else after a growing pause |
//! | 5xx | `provider_error` | the same |
//! | `promptFeedback.blockReason` | `content_blocked` | no |
//! | no candidate, or one that stopped with nothing in it | `empty_response` | after a growing pause |
//! | a compressed body, which was not asked for | `invalid_response` | no |
//! | 407 of a proxy | `connection_failed` | after a growing pause |
//! | `MALFORMED_FUNCTION_CALL` and its like | `invalid_response` | after a growing pause |
//! | a candidate with anything but texts, thoughts and calls: an image, code that was run | `unsupported_response` | no |
//! | 200 with an `error` in the body | as that error | as that error |
//!
//! Stops for `MAX_TOKENS`, `SAFETY` and the like are replies, with or without text.

mod contents;
mod fault;
mod parts;
mod quota;
mod request;
mod response;
mod signature;
mod thinking;

use async_trait::async_trait;
use forebay_shared::secret::Secret;
use http::header::{HeaderMap, HeaderName};

use super::{
    Answer, Call, Failure, Provider, SettingsError,
    http::{Endpoint, HttpSettings, JsonClient},
    settings::header_value,
};

/// The header that carries the key.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");

/// What the Gemini provider needs to know.
#[derive(Clone, Debug)]
pub struct GeminiSettings {
    /// The name that jobs show as their `provider`.
    pub name: String,
    /// Where it is, up to the version: `https://generativelanguage.googleapis.com/v1beta`.
    pub base_url: Endpoint,
    /// Its key; a gateway in front of Gemini may need none.
    pub key: Option<Secret>,
    /// Further headers for every request. Their values are treated as secrets.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Bounds and protocol.
    pub http: HttpSettings,
}

/// The provider for Gemini's models.
pub struct Gemini {
    name: String,
    base_url: Endpoint,
    client: JsonClient,
    secrets: Vec<Secret>,
}

impl Gemini {
    /// Builds the provider with a pool of connections of its own.
    ///
    /// # Errors
    /// [`SettingsError`] when the key or a header cannot be sent, or TLS cannot be set up.
    pub fn new(settings: GeminiSettings) -> Result<Self, SettingsError> {
        let mut headers = HeaderMap::new();
        let mut secrets = Vec::new();
        let key = settings.key.map(|key| (KEY_HEADER, key));
        for (name, value) in key.into_iter().chain(settings.headers) {
            let what = if name == KEY_HEADER {
                "key"
            } else {
                name.as_str()
            };
            let sent = header_value(&settings.name, what, &value)?;
            headers.insert(name, sent);
            secrets.push(value);
        }
        let client = JsonClient::new(settings.http, &settings.base_url, headers)
            .map_err(|source| SettingsError::Client(settings.name.clone(), source))?;
        Ok(Self {
            name: settings.name,
            base_url: settings.base_url,
            client,
            secrets,
        })
    }
}

#[async_trait]
impl Provider for Gemini {
    fn name(&self) -> &str {
        &self.name
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let body = request::body(call)?;
        // One segment, whatever is in the name: a model named by a client cannot reach another path.
        let method = format!("{}:generateContent", call.model);
        let url = self.base_url.with_segments(&["models", &method]);
        let received = self.client.post(&url, body, call.timeout).await?;
        let outcome = if received.is_success() {
            response::read(&received.body, call.turns)
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

/// What a job asks and this API cannot do.
fn unsupported(what: &str) -> Failure {
    Failure::new(
        "unsupported_parameter",
        format!("Gemini cannot be sent this job: {what}"),
        super::Retry::Never,
    )
}
