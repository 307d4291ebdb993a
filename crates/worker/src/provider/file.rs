//! The providers file: further providers, in TOML.
//!
//! ```toml
//! [providers.local]                          # answers for `local/any-model`
//! base_url = "http://127.0.0.1:11434/v1"
//! models = ["llama-*", "qwen3"]              # and for these models without the prefix
//!
//! [providers.acme]
//! kind = "openai"                            # the default; or "gemini"
//! base_url = "https://llm.acme.example/v1"
//! key_env = "ACME_API_KEY"                   # the variable that holds the key
//! max_tokens_field = "max_completion_tokens" # or "max_tokens"
//! headers = { "x-team" = "search" }
//!
//! [providers.cluster]
//! base_url = "http://10.0.0.7:8000/v1"
//! http2_prior_knowledge = true               # HTTP/2 without TLS
//!
//! [providers.router]
//! base_url = "https://router.example/v1"
//! keep_prefix = true                         # sends the name `router/some-model` with its prefix
//!
//! [providers.hosted]
//! base_url = "https://hosted.example/v1"
//! rpm = 600                                  # calls a minute, of all models and workers together
//! tpm = 200000                               # tokens a minute
//! concurrency = 50                           # calls in flight
//!
//! [providers.hosted.limits."big-model"]      # further limits of one model, under the name that is sent
//! rpm = 60
//! ```
//!
//! The caller reads the file and looks up the variables.

mod limits;

use std::collections::{BTreeMap, HashMap};

use forebay_shared::secret::Secret;
use http::header::HeaderName;
use serde::Deserialize;

use super::{
    definition::{ApiKind, ProviderDefinition},
    openai::MaxTokensField,
    settings::{base_url, header_value},
    simulated,
};
use limits::TomlLimits;

pub(super) use limits::EntryLimits;

/// The names of the providers that exist without a file. An entry of a file cannot have such a name.
pub(super) const RESERVED_NAMES: [&str; 3] = ["openai", "gemini", simulated::NAME];

/// The most entries of a file.
const ENTRIES_MAX: usize = 100;

/// The most models of an entry, and the most headers.
const LIST_MAX: usize = 100;

/// The longest name of an entry, in bytes.
const NAME_BYTES_MAX: usize = 32;

/// Headers that the HTTP client sets in every request.
const RESERVED_HEADERS: [&str; 6] = [
    "accept-encoding",
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
];

/// The checked entries of a providers file, by name.
#[derive(Clone, Debug, Default)]
pub struct ProvidersFile {
    pub(super) entries: BTreeMap<String, FileEntry>,
}

/// One entry of the file.
#[derive(Clone, Debug)]
pub(super) struct FileEntry {
    pub(super) definition: ProviderDefinition,
    /// The models that this provider serves without a prefix: exact names, or the start of names followed by `*`.
    pub(super) models: Vec<String>,
    /// Whether a model's name is sent with the prefix that names this entry.
    pub(super) keep_prefix: bool,
    /// The limits on its calls.
    pub(super) limits: EntryLimits,
}

/// Why a providers file cannot be used. The caller adds the path of the file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file is not TOML, lacks a required field, or has an unknown field or value.
    #[error("line {line}: {message}")]
    Unreadable {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, without the text of the line.
        message: String,
    },
    /// An entry has a value that cannot be used.
    #[error("providers.{entry}: {message}")]
    Entry {
        /// The name of the entry.
        entry: String,
        /// What is wrong and what to change.
        message: String,
    },
    /// The file has too many entries.
    #[error("has more than {ENTRIES_MAX} providers")]
    TooMany,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlFile {
    #[serde(default)]
    providers: BTreeMap<String, TomlEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlEntry {
    #[serde(default)]
    kind: ApiKind,
    base_url: String,
    key_env: Option<String>,
    #[serde(default)]
    models: Vec<String>,
    max_tokens_field: Option<MaxTokensField>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    http2_prior_knowledge: bool,
    #[serde(default)]
    keep_prefix: bool,
    rpm: Option<i64>,
    tpm: Option<i64>,
    concurrency: Option<i64>,
    #[serde(default)]
    limits: BTreeMap<String, TomlLimits>,
}

impl ProvidersFile {
    /// Reads the file's text. `variable` looks up a variable of the environment. A `key_env` whose variable is not set is no
    /// error: jobs for that provider fail as `provider_not_configured`.
    ///
    /// # Errors
    /// [`FileError`], naming the line or the entry.
    pub fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, FileError> {
        let file: TomlFile = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        if file.providers.len() > ENTRIES_MAX {
            return Err(FileError::TooMany);
        }
        let mut entries = BTreeMap::new();
        let mut owners: HashMap<String, String> = HashMap::new();
        for (name, toml) in file.providers {
            let entry_error = |message: String| FileError::Entry {
                entry: name.clone(),
                message,
            };
            check_name(&name).map_err(entry_error)?;
            let entry = FileEntry::check(&name, toml, variable).map_err(entry_error)?;
            for model in &entry.models {
                if let Some(owner) = owners.insert(model.clone(), name.clone()) {
                    return Err(entry_error(format!(
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
        toml: TomlEntry,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let base_url = base_url("base_url", &toml.base_url).map_err(|error| error.to_string())?;
        if toml.kind == ApiKind::Gemini && toml.max_tokens_field.is_some() {
            return Err(String::from(
                "max_tokens_field is for kind \"openai\" only; remove it",
            ));
        }
        if toml.http2_prior_knowledge && !base_url.is_cleartext() {
            return Err(String::from(
                "http2_prior_knowledge is for http:// URLs only: an https:// provider agrees on HTTP/2 in the TLS \
                 handshake; remove it",
            ));
        }
        check_models(&toml.models)?;
        let headers = check_headers(name, &toml.headers)?;
        let key = check_key(name, toml.key_env.as_deref(), variable)?;
        let own_limits = TomlLimits {
            rpm: toml.rpm,
            tpm: toml.tpm,
            concurrency: toml.concurrency,
        };
        Ok(Self {
            definition: ProviderDefinition {
                kind: toml.kind,
                base_url,
                requires_key: toml.key_env.is_some(),
                key_env: toml.key_env,
                key,
                max_tokens_field: toml.max_tokens_field,
                headers,
                http2_prior_knowledge: toml.http2_prior_knowledge,
            },
            models: toml.models,
            keep_prefix: toml.keep_prefix,
            limits: EntryLimits::check(&own_limits, toml.limits)?,
        })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_allowed) {
        return Err(format!(
            "the name must have 1 to {NAME_BYTES_MAX} of a-z, 0-9, - and _; change it"
        ));
    }
    if RESERVED_NAMES.contains(&name) {
        return Err(String::from(
            "this is the name of a provider that needs no entry; choose another one",
        ));
    }
    Ok(())
}

fn check_models(models: &[String]) -> Result<(), String> {
    if models.len() > LIST_MAX {
        return Err(format!(
            "models may have at most {LIST_MAX} entries; remove some"
        ));
    }
    for model in models {
        let star = model.find('*');
        if model.is_empty() || star.is_some_and(|index| index + 1 != model.len()) {
            return Err(format!(
                "models: \"{model}\" must be a model's name, or the start of names followed by one *"
            ));
        }
    }
    Ok(())
}

fn check_headers(
    provider: &str,
    headers: &BTreeMap<String, String>,
) -> Result<Vec<(HeaderName, Secret)>, String> {
    if headers.len() > LIST_MAX {
        return Err(format!(
            "headers may have at most {LIST_MAX} entries; remove some"
        ));
    }
    let mut checked = Vec::with_capacity(headers.len());
    for (header, value) in headers {
        let name = HeaderName::try_from(header)
            .map_err(|_| format!("headers: \"{header}\" is not the name of an HTTP header"))?;
        if RESERVED_HEADERS.contains(&name.as_str()) {
            return Err(format!(
                "headers: Forebay sets {name} in every request; remove it"
            ));
        }
        let value = Secret::new(value);
        header_value(provider, name.as_str(), &value).map_err(|error| error.to_string())?;
        checked.push((name, value));
    }
    Ok(checked)
}

fn check_key(
    provider: &str,
    key_env: Option<&str>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Secret>, String> {
    let Some(key_env) = key_env else {
        return Ok(None);
    };
    if key_env.is_empty() {
        return Err(String::from(
            "key_env must name a variable; leave it out if there is no key",
        ));
    }
    let key = variable(key_env).map(|key| Secret::new(&key));
    let key = key.filter(|key| !key.is_empty());
    if let Some(key) = &key {
        let header_or_key = format!("key {key_env}");
        header_value(provider, &header_or_key, key).map_err(|error| error.to_string())?;
    }
    Ok(key)
}

/// The parser's message and its line, without the text of the line, which may hold a key.
fn unreadable(text: &str, error: &toml::de::Error) -> FileError {
    let index = error.span().map_or(0, |span| span.start.min(text.len()));
    let newlines = text.as_bytes()[..index]
        .iter()
        .filter(|byte| **byte == b'\n');
    FileError::Unreadable {
        line: newlines.count() + 1,
        message: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests;
