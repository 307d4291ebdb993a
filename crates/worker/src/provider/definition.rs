//! The checked settings of one provider. They are complete, but no connection exists yet.

use std::sync::Arc;

use forebay_shared::secret::Secret;
use http::header::HeaderName;
use serde::Deserialize;

use super::{
    Provider, SettingsError,
    gemini::{Gemini, GeminiSettings},
    http::{Endpoint, HttpSettings},
    openai::{MaxTokensField, OpenAi, OpenAiSettings},
};

/// The API that a provider offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ApiKind {
    /// OpenAI's chat completions.
    #[default]
    Openai,
    /// Gemini's native API.
    Gemini,
}

/// The checked settings from which a provider is built.
#[derive(Clone, Debug)]
pub(super) struct ProviderDefinition {
    pub(super) kind: ApiKind,
    pub(super) base_url: Endpoint,
    /// The variable that holds the key; `None` for a provider without a key.
    pub(super) key_env: Option<String>,
    /// Whether the provider is called only with a key.
    pub(super) requires_key: bool,
    pub(super) key: Option<Secret>,
    /// The field that carries the limit on the reply's tokens. `None` leaves the choice to the provider.
    pub(super) max_tokens_field: Option<MaxTokensField>,
    /// Headers for every request. Their values are secrets.
    pub(super) headers: Vec<(HeaderName, Secret)>,
    pub(super) http2_prior_knowledge: bool,
}

impl ProviderDefinition {
    /// A provider whose settings are variables of the environment. It requires its key, unless the caller changes that.
    pub(super) fn from_environment(
        kind: ApiKind,
        base_url: Endpoint,
        key_env: &str,
        key: Option<Secret>,
    ) -> Self {
        Self {
            kind,
            base_url,
            key_env: Some(key_env.to_owned()),
            requires_key: true,
            // An empty variable counts as not set.
            key: key.filter(|key| !key.is_empty()),
            max_tokens_field: None,
            headers: Vec::new(),
            http2_prior_knowledge: false,
        }
    }

    /// The variable that should hold the key, if the provider requires a key that is not set.
    pub(super) fn missing_key(&self) -> Option<&str> {
        let is_missing = self.requires_key && self.key.is_none();
        self.key_env.as_deref().filter(|_| is_missing)
    }

    /// Builds the provider under this name.
    ///
    /// # Errors
    /// [`SettingsError`], naming the provider and what is wrong.
    pub(super) fn build(
        self,
        name: &str,
        http: HttpSettings,
    ) -> Result<Arc<dyn Provider>, SettingsError> {
        let Self {
            kind,
            base_url,
            key_env,
            requires_key: _,
            key,
            max_tokens_field,
            headers,
            http2_prior_knowledge,
        } = self;
        let name = name.to_owned();
        let http = HttpSettings {
            http2_prior_knowledge,
            ..http
        };
        let built: Result<Arc<dyn Provider>, SettingsError> = match kind {
            ApiKind::Openai => OpenAi::new(OpenAiSettings {
                name,
                base_url,
                key,
                max_tokens_field,
                headers,
                http,
            })
            .map(|provider| Arc::new(provider) as _),
            ApiKind::Gemini => Gemini::new(GeminiSettings {
                name,
                base_url,
                key,
                headers,
                http,
            })
            .map(|provider| Arc::new(provider) as _),
        };
        built.map_err(|error| match key_env {
            Some(variable) => error.with_key_variable(&variable),
            None => error,
        })
    }
}
