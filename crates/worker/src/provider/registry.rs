//! Finds the provider that answers for a model. The first rule that applies decides:
//!
//! 1. `NAME/*` stands for the only model that the server of the provider `NAME` lists.
//! 2. A model that an entry of the providers file lists belongs to this entry.
//! 3. `NAME/model` belongs to the provider `NAME`.
//! 4. `simulated` belongs to the simulated provider, and `gemini-…` to the provider `gemini`.
//! 5. Any other model belongs to the provider `openai`.
//!
//! A provider without its key is in the registry too. Its jobs fail with an error that names the missing key.

use std::{collections::BTreeMap, sync::Arc};

use forebay_shared::{
    account::{AccountKey, ConfiguredLimits},
    job::JobError,
    secret::Secret,
};

use super::{
    Provider, SettingsError,
    call_accounts::CallAccounts,
    definition::{ApiKind, ProviderDefinition},
    file::{EntryLimits, ProvidersFile},
    http::HttpSettings,
    not_configured,
    only_model::{ONLY_MODEL, OnlyModel},
    openai::OPENAI_HOST,
    routes::Routes,
    settings::base_url,
    simulated::{self, Latency, Simulated},
    summary::ProviderSummary,
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
    routes: Routes,
    summaries: Vec<ProviderSummary>,
    default_model: Option<String>,
    limits: BTreeMap<AccountKey, ConfiguredLimits>,
}

enum RegisteredProvider {
    Ready(ReadyProvider),
    /// The provider has no key. The field is the name of the variable that should hold it.
    WithoutKey(String),
}

struct ReadyProvider {
    provider: Arc<dyn Provider>,
    only_model: Arc<OnlyModel>,
    /// Whether the model `NAME/model` is sent with the prefix `NAME/`.
    keep_prefix: bool,
}

impl RegisteredProvider {
    fn ready(provider: Arc<dyn Provider>, keep_prefix: bool) -> Self {
        Self::Ready(ReadyProvider {
            only_model: Arc::new(OnlyModel::new(Arc::clone(&provider))),
            provider,
            keep_prefix,
        })
    }
}

impl ProviderRegistry {
    /// Builds all providers, each with its own connections.
    ///
    /// # Errors
    /// [`SettingsError`], naming the setting.
    pub fn new(settings: ProviderSettings) -> Result<Self, SettingsError> {
        let (http, entries) = (settings.http, settings.file.entries);
        let listed_models = entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.models.as_slice()));
        let simulated = Arc::new(Simulated::new(settings.simulated_latency));
        // Of the providers that are not in the file.
        let keep_prefix = false;
        let mut registry = Self {
            providers: BTreeMap::from([(
                simulated::NAME.to_owned(),
                RegisteredProvider::ready(simulated, keep_prefix),
            )]),
            routes: Routes::new(listed_models),
            summaries: Vec::new(),
            default_model: None,
            limits: BTreeMap::new(),
        };
        let openai_url = base_url("OPENAI_BASE_URL", &settings.openai_base_url)?;
        let gemini_url = base_url("GEMINI_BASE_URL", &settings.gemini_base_url)?;
        let is_openai_itself = openai_url.host() == OPENAI_HOST;
        let openai = ProviderDefinition {
            // Local servers have no key.
            requires_key: is_openai_itself,
            ..ProviderDefinition::from_environment(
                ApiKind::Openai,
                openai_url,
                "OPENAI_API_KEY",
                settings.openai_api_key,
            )
        };
        let gemini = ProviderDefinition::from_environment(
            ApiKind::Gemini,
            gemini_url,
            "GEMINI_API_KEY",
            settings.gemini_api_key,
        );
        registry.add("openai", openai, &[], keep_prefix, &http)?;
        registry.add("gemini", gemini, &[], keep_prefix, &http)?;
        let has_key = registry.is_configured("openai") || registry.is_configured("gemini");
        registry.default_model = match (is_openai_itself, has_key, entries.keys().next()) {
            (false, _, _) => Some(format!("openai/{ONLY_MODEL}")),
            (true, false, None) => Some(simulated::NAME.to_owned()),
            (true, false, Some(name)) if entries.len() == 1 => Some(format!("{name}/{ONLY_MODEL}")),
            _ => None,
        };
        for (name, entry) in entries {
            registry.add_limits(&name, entry.limits);
            registry.add(
                &name,
                entry.definition,
                &entry.models,
                entry.keep_prefix,
                &http,
            )?;
        }
        Ok(registry)
    }

    fn add(
        &mut self,
        name: &str,
        definition: ProviderDefinition,
        models: &[String],
        keep_prefix: bool,
        http: &HttpSettings,
    ) -> Result<(), SettingsError> {
        self.summaries.push(ProviderSummary::of(
            name,
            &definition,
            models,
            &http.proxies,
        ));
        let provider = match definition.missing_key() {
            Some(variable) => RegisteredProvider::WithoutKey(variable.to_owned()),
            None => RegisteredProvider::ready(definition.build(name, http.clone())?, keep_prefix),
        };
        self.providers.insert(name.to_owned(), provider);
        Ok(())
    }

    fn add_limits(&mut self, name: &str, limits: EntryLimits) {
        if !limits.provider.is_empty() {
            let account = AccountKey::of_provider(name);
            self.limits.insert(account, limits.provider);
        }
        for (model, limits) in limits.models {
            self.limits
                .insert(AccountKey::of_model(name, &model), limits);
        }
    }

    /// Whether there is a provider of this name, with or without its key.
    #[must_use]
    pub fn has_provider(&self, name: &str) -> bool {
        self.providers.contains_key(name)
    }

    /// The configured limits, by account. An account without limits is absent. Only providers of the providers file can have
    /// limits.
    #[must_use]
    pub const fn limits(&self) -> &BTreeMap<AccountKey, ConfiguredLimits> {
        &self.limits
    }

    /// The accounts whose permits a call of this model needs. `None` if the model is empty or its provider is not configured:
    /// then [`resolve`](Self::resolve) returns an error.
    #[must_use]
    pub fn accounts_of(&self, model: &str) -> Option<CallAccounts> {
        let (name, _) = self.route(model);
        self.is_configured(name)
            .then(|| self.account_names_of(model))?
    }

    /// The accounts whose permits a call of this model needs, whether or not the provider has its key. A gateway of a
    /// fleet has no keys. `None` if no model is named.
    #[must_use]
    pub fn account_names_of(&self, model: &str) -> Option<CallAccounts> {
        let (name, model) = self.route(model);
        if model.is_empty() {
            return None;
        }
        Some(CallAccounts {
            provider: AccountKey::of_provider(name),
            // Only the call finds out which model it is.
            model: (model != ONLY_MODEL).then(|| AccountKey::of_model(name, model)),
        })
    }

    /// The provider for a model, and the name of the model that is sent to it.
    ///
    /// # Errors
    /// `provider_not_configured` when the provider has no key, `invalid_request` when no model is named. A retry cannot
    /// help.
    pub fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError> {
        let (name, model) = self.route(model);
        if model.is_empty() {
            return Err(JobError::new("invalid_request", "the job names no model"));
        }
        match self.providers.get(name) {
            Some(RegisteredProvider::Ready(ready)) => {
                let provider = if model == ONLY_MODEL {
                    Arc::clone(&ready.only_model) as Arc<dyn Provider>
                } else {
                    Arc::clone(&ready.provider)
                };
                Ok((provider, model.to_owned()))
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

    /// The model of jobs without a model, for use if `FOREBAY_MODEL` is not set.
    ///
    /// If `OPENAI_BASE_URL` names a server other than OpenAI's, it is the only model of this server. If the only provider is
    /// one entry of the providers file, it is the only model of this entry. If no provider is configured, it is the
    /// simulated model. Otherwise it is `None`.
    #[must_use]
    pub fn default_model(&self) -> Option<&str> {
        self.default_model.as_deref()
    }

    /// The models that the configuration names, each with its provider, in the form in which calls use them.
    #[must_use]
    pub fn configured_models(&self) -> Vec<(String, String)> {
        let listed = self.routes.models().map(str::to_owned);
        let limited = self.limits.keys().map(|key| key.as_str().to_owned());
        let only = self
            .providers
            .keys()
            .map(|name| format!("{name}/{ONLY_MODEL}"));
        let named = listed.chain(limited).chain(only);
        let named = named.chain(self.default_model.clone());
        let named = named.chain([simulated::NAME.to_owned()]);
        named.map(|model| self.names_of(&model)).collect()
    }

    /// The name of the provider for a model, and the name of the model that is sent to it.
    #[must_use]
    pub fn names_of(&self, model: &str) -> (String, String) {
        let (provider, model) = self.route(model);
        (provider.to_owned(), model.to_owned())
    }

    /// The summaries of all providers but the simulated one.
    #[must_use]
    pub fn summaries(&self) -> &[ProviderSummary] {
        &self.summaries
    }

    /// The summary of the provider that answers for a model. `None` for the simulated provider.
    #[must_use]
    pub fn summary_for(&self, model: &str) -> Option<&ProviderSummary> {
        let (name, _) = self.route(model);
        self.summaries.iter().find(|summary| summary.name == name)
    }

    /// The name of the provider for a model, and the name of the model that is sent to it.
    fn route<'a>(&'a self, model: &'a str) -> (&'a str, &'a str) {
        let prefixed = model.split_once('/').and_then(|(name, rest)| {
            let provider = self.providers.get(name)?;
            Some((name, rest, provider))
        });
        if let Some((name, ONLY_MODEL, _)) = prefixed {
            return (name, ONLY_MODEL);
        }
        if let Some(name) = self.routes.provider_of(model) {
            return (name, model);
        }
        match prefixed {
            Some((name, rest, RegisteredProvider::Ready(ready)))
                if ready.keep_prefix && !rest.is_empty() =>
            {
                (name, model)
            }
            Some((name, rest, _)) => (name, rest),
            None if model == simulated::NAME => (simulated::NAME, model),
            None if model.starts_with("gemini-") => ("gemini", model),
            None => ("openai", model),
        }
    }
}

#[cfg(test)]
mod tests;
