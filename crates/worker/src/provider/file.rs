//! The file that names more providers, in TOML.
//!
//! ```toml
//! [providers.local]                          # `local/any-model` asks it
//! base_url = "http://127.0.0.1:11434/v1"
//! models = ["llama-*", "qwen3"]              # asked for these without the prefix too
//!
//! [providers.acme]
//! kind = "openai"                            # the default; or "gemini"
//! base_url = "https://llm.acme.example/v1"
//! key_env = "ACME_API_KEY"                   # the variable that holds the key
//! max_tokens_field = "max_completion_tokens" # or "max_tokens"
//! headers = { "x-team" = "search" }
//! ```
//!
//! Reading the file and the variables is left to whoever starts the process.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    sync::Arc,
};

use http::header::HeaderName;
use serde::Deserialize;

use super::{
    Provider, Secret, SettingsError,
    gemini::{Gemini, GeminiSettings},
    http::{Endpoint, HttpSettings},
    openai::{MaxTokensField, OpenAi, OpenAiSettings},
    registry::{BUILT_IN, base_url},
};

/// The most entries of a file.
const ENTRIES_MAX: usize = 100;

/// The most models and the most headers of an entry.
const LIST_MAX: usize = 100;

/// The longest name of an entry, in bytes.
const NAME_BYTES_MAX: usize = 32;

/// Headers that belong to the request itself.
const RESERVED_HEADERS: [&str; 6] = [
    "accept-encoding",
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
];

/// Providers by name, checked.
#[derive(Clone, Debug, Default)]
pub struct ProvidersFile {
    pub(super) entries: BTreeMap<String, FileEntry>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not TOML, or has a field that no entry has.
    #[error("line {line}: {message}")]
    Unreadable {
        /// Counts from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// An entry has something that cannot be.
    #[error("providers.{entry}: {message}")]
    Entry {
        /// The entry's name.
        entry: String,
        /// What is wrong and what to change.
        message: String,
    },
    /// It has too many entries.
    #[error("has more than {ENTRIES_MAX} providers")]
    TooMany,
}

/// One provider of the file.
#[derive(Clone, Debug)]
pub(super) struct FileEntry {
    kind: Kind,
    base_url: Endpoint,
    key_env: Option<String>,
    key: Option<Secret>,
    max_tokens_field: Option<MaxTokensField>,
    headers: Vec<(HeaderName, Secret)>,
    pub(super) models: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Openai,
    Gemini,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFile {
    #[serde(default)]
    providers: BTreeMap<String, WireEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEntry {
    #[serde(default)]
    kind: Kind,
    base_url: String,
    key_env: Option<String>,
    #[serde(default)]
    models: Vec<String>,
    max_tokens_field: Option<MaxTokensField>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

impl ProvidersFile {
    /// Reads the file's text. `variable` looks a variable of the environment up. A `key_env` that is not
    /// set is no error: jobs for that provider fail as `provider_not_configured`.
    ///
    /// # Errors
    /// [`FileError`], naming the line or the entry.
    pub fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, FileError> {
        let file: WireFile = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        if file.providers.len() > ENTRIES_MAX {
            return Err(FileError::TooMany);
        }
        let mut entries = BTreeMap::new();
        let mut owners: HashMap<String, String> = HashMap::new();
        for (name, wire) in file.providers {
            let wrong = |message: String| FileError::Entry {
                entry: name.clone(),
                message,
            };
            check_name(&name).map_err(wrong)?;
            let entry = FileEntry::check(&name, wire, variable).map_err(wrong)?;
            for model in &entry.models {
                if let Some(owner) = owners.insert(model.clone(), name.clone()) {
                    return Err(wrong(format!(
                        "models: \"{model}\" is already one of providers.{owner}; list it once"
                    )));
                }
            }
            entries.insert(name, entry);
        }
        Ok(Self { entries })
    }
}

impl FileEntry {
    fn check(
        name: &str,
        wire: WireEntry,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let base_url = base_url("base_url", &wire.base_url).map_err(|error| error.to_string())?;
        if wire.kind == Kind::Gemini && wire.max_tokens_field.is_some() {
            return Err(String::from(
                "max_tokens_field is for kind \"openai\" only; take it out",
            ));
        }
        if wire.models.len() > LIST_MAX || wire.headers.len() > LIST_MAX {
            return Err(format!(
                "models and headers may have at most {LIST_MAX} entries"
            ));
        }
        for model in &wire.models {
            let star = model.find('*');
            if model.is_empty() || star.is_some_and(|at| at + 1 != model.len()) {
                return Err(format!(
                    "models: \"{model}\" must be a model's name, or its beginning followed by one *"
                ));
            }
        }
        if wire.key_env.as_deref().is_some_and(str::is_empty) {
            return Err(String::from(
                "key_env must name a variable; leave it out if there is no key",
            ));
        }
        let mut headers = Vec::with_capacity(wire.headers.len());
        for (header, value) in &wire.headers {
            let name = HeaderName::try_from(header)
                .map_err(|_| format!("headers: \"{header}\" is not the name of an HTTP header"))?;
            if RESERVED_HEADERS.contains(&name.as_str()) {
                return Err(format!(
                    "headers: {name} belongs to the request itself; take it out"
                ));
            }
            headers.push((name, Secret::new(value)));
        }
        let key = wire.key_env.as_deref().and_then(variable);
        let key = key
            .map(|key| Secret::new(&key))
            .filter(|key| !key.is_empty());
        let entry = Self {
            kind: wire.kind,
            base_url,
            key_env: wire.key_env,
            key,
            max_tokens_field: wire.max_tokens_field,
            headers,
            models: wire.models,
        };
        // Whatever else can be wrong shows when it is built.
        entry
            .build(name, HttpSettings::default())
            .map_err(|error| with_causes(&error))?;
        Ok(entry)
    }

    /// The variable that should hold the key and does not.
    pub(super) fn missing_key(&self) -> Option<&str> {
        self.key_env.as_deref().filter(|_| self.key.is_none())
    }

    /// Builds the provider.
    pub(super) fn build(
        &self,
        name: &str,
        http: HttpSettings,
    ) -> Result<Arc<dyn Provider>, SettingsError> {
        let name = name.to_owned();
        let base_url = self.base_url.clone();
        let key = self.key.clone();
        let headers = self.headers.clone();
        Ok(match self.kind {
            Kind::Openai => Arc::new(OpenAi::new(OpenAiSettings {
                name,
                base_url,
                key,
                max_tokens_field: self.max_tokens_field,
                headers,
                http,
            })?),
            Kind::Gemini => Arc::new(Gemini::new(GeminiSettings {
                name,
                base_url,
                key,
                headers,
                http,
            })?),
        })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        return Err(format!(
            "the name must have 1 to {NAME_BYTES_MAX} of a-z, 0-9, - and _; change it"
        ));
    }
    if BUILT_IN.contains(&name) {
        return Err(String::from("this name is built in; give it another one"));
    }
    Ok(())
}

/// An error with what caused it, for a message that is all that is kept of it.
fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    message
}

/// The parser's message without the line itself, which may hold a key.
fn unreadable(text: &str, error: &toml::de::Error) -> FileError {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    FileError::Unreadable {
        line: text.as_bytes()[..at]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1,
        message: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests;
