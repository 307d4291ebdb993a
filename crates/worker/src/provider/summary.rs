//! What the log and `forebay check` show about a provider.

use std::fmt;

use super::{definition::ProviderDefinition, file::RESERVED_NAMES, http::Proxies};

/// A provider as an operator configured it, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSummary {
    /// The provider's name.
    pub name: String,
    /// The base URL, without its query.
    pub url: String,
    /// The setting that holds the base URL.
    pub url_setting: String,
    /// Whether the key is set.
    pub key: KeyState,
    /// The models for which the provider answers, as a text for people.
    pub models: String,
    /// The variable that names the proxy through which the provider is called.
    pub proxy_variable: Option<&'static str>,
}

impl ProviderSummary {
    /// The summary of the provider `name`. It answers for `models`, and for all models with the prefix `name/`.
    pub(super) fn of(
        name: &str,
        definition: &ProviderDefinition,
        models: &[String],
        proxies: &Proxies,
    ) -> Self {
        let (url_setting, others) = match name {
            "openai" => (String::from("OPENAI_BASE_URL"), Some("any other")),
            "gemini" => (String::from("GEMINI_BASE_URL"), Some("gemini-*")),
            _ => (format!("base_url of [providers.{name}]"), None),
        };
        let key_env = definition.key_env.clone();
        let key_setting = key_env.unwrap_or_else(|| format!("key_env of [providers.{name}]"));
        let mut shown_models = format!("{name}/…");
        for model in models.iter().map(String::as_str).chain(others) {
            shown_models.push_str(", ");
            shown_models.push_str(model);
        }
        Self {
            name: name.to_owned(),
            url: definition.base_url.without_query(),
            url_setting,
            key: if definition.key.is_some() {
                KeyState::Set(key_setting)
            } else if definition.requires_key {
                KeyState::Missing(key_setting)
            } else {
                KeyState::NotRequired(key_setting)
            },
            models: shown_models,
            proxy_variable: proxies.variable_of(&definition.base_url),
        }
    }
}

impl ProviderSummary {
    /// The variable that holds the key, or should hold it. `None` if the provider requires no key and has none.
    #[must_use]
    pub fn key_env(&self) -> Option<&str> {
        match &self.key {
            KeyState::Set(variable) | KeyState::Missing(variable) => Some(variable),
            KeyState::NotRequired(_) => None,
        }
    }

    /// The `key_env` of an entry of the providers file, if this variable is not set. Jobs for the provider fail. A provider
    /// that is not in the file may be without a key because it is not used, so `None` is returned for it.
    #[must_use]
    pub fn unset_key_env(&self) -> Option<&str> {
        match &self.key {
            KeyState::Missing(variable) if !RESERVED_NAMES.contains(&self.name.as_str()) => {
                Some(variable)
            }
            _ => None,
        }
    }
}

/// Whether the key of a provider is set, and which setting holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// This variable holds the key.
    Set(String),
    /// The provider requires a key, and this setting should hold it. Jobs for the provider fail.
    Missing(String),
    /// The provider has no key and requires none. This setting would hold a key.
    NotRequired(String),
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(variable) => write!(f, "{variable} is set"),
            Self::Missing(variable) => write!(f, "{variable} is not set"),
            Self::NotRequired(_) => f.write_str("none"),
        }
    }
}
