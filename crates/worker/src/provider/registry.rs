//! Finds the provider that answers for a model.
//!
//! `NAME/model` is for the provider of that name. Other models are for the entry of the providers file that lists
//! them. `simulated` and `gemini-…` have their own providers; the OpenAI-compatible provider answers for all other models. A
//! provider without its key is in the registry too: its jobs fail and name the missing key.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use forebay_shared::{job::JobError, secret::Secret};

use super::{
    Provider, SettingsError,
    definition::{ApiKind, ProviderDefinition},
    file::ProvidersFile,
    http::HttpSettings,
    not_configured,
    settings::base_url,
    simulated::{self, Latency, Simulated},
};

/// OpenAI's own base URL.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";

/// Gemini's own base URL.
pub const GEMINI_BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";

/// The settings of all providers.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// `OPENAI_API_KEY`.
    pub openai_api_key: Option<Secret>,
    /// `OPENAI_BASE_URL`.
    pub openai_base_url: String,
    /// `GEMINI_API_KEY`.
    pub gemini_api_key: Option<Secret>,
    /// `GEMINI_BASE_URL`.
    pub gemini_base_url: String,
    /// `FOREBAY_SIMULATED_LATENCY_MS`.
    pub simulated_latency: Latency,
    /// The HTTP settings of all providers.
    pub http: HttpSettings,
    /// The entries of the providers file.
    pub file: ProvidersFile,
}

impl Default for ProviderSettings {
    fn default() -> Self {
        Self {
            openai_api_key: None,
            openai_base_url: OPENAI_BASE_URL.to_owned(),
            gemini_api_key: None,
            gemini_base_url: GEMINI_BASE_URL.to_owned(),
            simulated_latency: Latency::default(),
            http: HttpSettings::default(),
            file: ProvidersFile::default(),
        }
    }
}

/// All providers by name, and the rules that find one for a model.
pub struct ProviderRegistry {
    providers: BTreeMap<String, RegisteredProvider>,
    /// The models of the providers file, in the order in which they are compared.
    routes: Vec<Route>,
}

enum RegisteredProvider {
    Ready(Arc<dyn Provider>),
    /// The provider has no key; this variable should hold it.
    WithoutKey(String),
}

struct Route {
    /// A model's name, or its beginning.
    pattern: String,
    is_prefix: bool,
    provider_name: String,
}

impl ProviderRegistry {
    /// Builds all providers, each with its own connections.
    ///
    /// # Errors
    /// [`SettingsError`], naming the setting.
    pub fn new(settings: ProviderSettings) -> Result<Self, SettingsError> {
        let simulated = Simulated::new(settings.simulated_latency);
        let mut registry = Self {
            providers: BTreeMap::from([(
                simulated::NAME.to_owned(),
                RegisteredProvider::Ready(Arc::new(simulated)),
            )]),
            routes: Vec::new(),
        };
        let built_in = |kind, base_url, key_env: &str, key: Option<Secret>| ProviderDefinition {
            kind,
            base_url,
            key_env: Some(key_env.to_owned()),
            // An empty variable counts as not set.
            key: key.filter(|key| !key.is_empty()),
            max_tokens_field: None,
            headers: Vec::new(),
            http2_prior_knowledge: false,
        };
        let openai = built_in(
            ApiKind::Openai,
            base_url("OPENAI_BASE_URL", &settings.openai_base_url)?,
            "OPENAI_API_KEY",
            settings.openai_api_key,
        );
        let gemini = built_in(
            ApiKind::Gemini,
            base_url("GEMINI_BASE_URL", &settings.gemini_base_url)?,
            "GEMINI_API_KEY",
            settings.gemini_api_key,
        );
        registry.add("openai", openai, &settings.http)?;
        registry.add("gemini", gemini, &settings.http)?;
        for (name, entry) in settings.file.entries {
            registry.add(&name, entry.definition, &settings.http)?;
            registry.routes.extend(entry.models.iter().map(|model| {
                let prefix = model.strip_suffix('*');
                Route {
                    pattern: prefix.unwrap_or(model).to_owned(),
                    is_prefix: prefix.is_some(),
                    provider_name: name.clone(),
                }
            }));
        }
        // An exact name comes before a prefix, and a longer prefix before a shorter one.
        registry
            .routes
            .sort_by_key(|route| (route.is_prefix, Reverse(route.pattern.len())));
        Ok(registry)
    }

    fn add(
        &mut self,
        name: &str,
        definition: ProviderDefinition,
        http: &HttpSettings,
    ) -> Result<(), SettingsError> {
        let provider = match definition.missing_key() {
            Some(variable) => RegisteredProvider::WithoutKey(variable.to_owned()),
            None => RegisteredProvider::Ready(definition.build(name, http.clone())?),
        };
        self.providers.insert(name.to_owned(), provider);
        Ok(())
    }

    /// The provider for a model, and the model's name without the prefix that names the provider.
    ///
    /// # Errors
    /// `provider_not_configured` when the provider has no key, `invalid_request` when no model is named. A retry cannot
    /// help.
    pub fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError> {
        let named = model
            .split_once('/')
            .filter(|(name, _)| self.providers.contains_key(*name));
        let (name, model) = named.unwrap_or_else(|| (self.route(model), model));
        if model.is_empty() {
            return Err(JobError::new("invalid_request", "the job names no model"));
        }
        match self.providers.get(name) {
            Some(RegisteredProvider::Ready(provider)) => {
                Ok((Arc::clone(provider), model.to_owned()))
            }
            Some(RegisteredProvider::WithoutKey(variable)) => Err(not_configured(name, variable)),
            None => Err(JobError::new(
                "provider_not_configured",
                format!("there is no provider {name}"),
            )),
        }
    }

    /// Whether the provider exists and has the key that it needs.
    #[must_use]
    pub fn is_configured(&self, name: &str) -> bool {
        matches!(self.providers.get(name), Some(RegisteredProvider::Ready(_)))
    }

    /// The name of the provider for a model without a prefix.
    fn route(&self, model: &str) -> &str {
        let listed = self.routes.iter().find(|route| {
            if route.is_prefix {
                model.starts_with(&route.pattern)
            } else {
                model == route.pattern
            }
        });
        match listed {
            Some(route) => &route.provider_name,
            None if model == simulated::NAME => simulated::NAME,
            None if model.starts_with("gemini-") => "gemini",
            None => "openai",
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::secret::Secret;

    use super::{ProviderRegistry, ProviderSettings};
    use crate::provider::{file::ProvidersFile, http::Proxies};

    const FILE: &str = r#"
        [providers.local]
        base_url = "http://127.0.0.1:11434/v1"
        models = ["llama-*", "gemini-imitation", "llama-3-vision"]

        [providers.big]
        base_url = "https://big.example/v1"
        key_env = "BIG_KEY"
        models = ["llama-3-*"]
    "#;

    fn settings(keys: bool) -> ProviderSettings {
        let key = keys.then(|| Secret::new("sk-for-tests"));
        ProviderSettings {
            openai_api_key: key.clone(),
            gemini_api_key: key,
            file: ProvidersFile::parse(FILE, &|_| keys.then(|| String::from("sk-big")))
                .expect("the file is valid"),
            ..ProviderSettings::default()
        }
    }

    #[test]
    fn each_model_is_resolved_to_its_provider_and_its_name_there() {
        let registry = ProviderRegistry::new(settings(true)).expect("the registry is created");
        for (model, provider, model_sent) in [
            ("gpt-5", "openai", "gpt-5"),
            ("simulated", "simulated", "simulated"),
            ("simulated/fast", "simulated", "fast"),
            ("gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
            ("gemini/tuned", "gemini", "tuned"),
            ("openai/gemini-2.5-flash", "openai", "gemini-2.5-flash"),
            ("meta/llama", "openai", "meta/llama"),
            ("openai/meta/llama", "openai", "meta/llama"),
            ("local/anything", "local", "anything"),
            ("llama-2", "local", "llama-2"),
            ("llama-3-8b", "big", "llama-3-8b"),
            ("llama-3-vision", "local", "llama-3-vision"),
            ("gemini-imitation", "local", "gemini-imitation"),
        ] {
            let (found, name) = registry.resolve(model).expect("the model has a provider");
            assert_eq!(
                (found.name(), name.as_str()),
                (provider, model_sent),
                "model {model}"
            );
        }
        let error = registry
            .resolve("openai/")
            .err()
            .expect("the name has no model");
        assert_eq!(error.code, "invalid_request");
    }

    #[test]
    fn the_error_of_a_provider_without_a_key_names_the_missing_variable() {
        let mut settings = settings(false);
        settings.openai_api_key = Some(Secret::new("  "));
        let registry = ProviderRegistry::new(settings).expect("the registry is created");
        for (model, variable) in [
            ("gpt-5", "OPENAI_API_KEY"),
            ("gemini-2.5-flash", "GEMINI_API_KEY"),
            ("big/x", "BIG_KEY"),
        ] {
            let error = registry
                .resolve(model)
                .err()
                .expect("the provider has no key");
            assert_eq!(error.code, "provider_not_configured");
            assert!(error.message.contains(variable), "{}", error.message);
        }
        assert!(registry.resolve("simulated").is_ok());
        assert!(registry.resolve("local/x").is_ok());
        assert!(registry.is_configured("local") && !registry.is_configured("big"));
    }

    #[test]
    fn the_error_of_an_invalid_base_url_names_its_variable_even_without_a_key() {
        for (field, variable) in [(0, "OPENAI_BASE_URL"), (1, "GEMINI_BASE_URL")] {
            let mut settings = ProviderSettings::default();
            let url = if field == 0 {
                &mut settings.openai_base_url
            } else {
                &mut settings.gemini_base_url
            };
            *url = String::from("api.example.com");
            let error = ProviderRegistry::new(settings)
                .err()
                .expect("the input is refused")
                .to_string();
            assert!(error.starts_with(variable), "error: {error}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_for_a_provider_that_needs_it() {
        let mut settings = settings(true);
        settings.http.proxies =
            Proxies::read(&|name| (name == "ALL_PROXY").then(|| String::from("socks5://a:1")));
        let error = ProviderRegistry::new(settings.clone())
            .err()
            .expect("the provider is refused");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(error.to_string().contains("openai"), "error: {error}");
        assert!(source.is_some_and(|source| source.starts_with("ALL_PROXY")));

        // Without keys only a provider on this machine is left, which needs no proxy.
        settings.openai_api_key = None;
        settings.gemini_api_key = None;
        settings.file = ProvidersFile::parse(FILE, &|_| None).expect("the file is valid");
        assert!(ProviderRegistry::new(settings).is_ok());
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_refused_without_showing_it() {
        let settings = ProviderSettings {
            openai_api_key: Some(Secret::new("sk\nbroken")),
            ..ProviderSettings::default()
        };
        let error = ProviderRegistry::new(settings)
            .err()
            .expect("the input is refused")
            .to_string();
        assert!(
            error.contains("openai") && !error.contains("broken"),
            "error: {error}"
        );
    }
}
