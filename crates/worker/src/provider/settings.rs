//! Checks of settings that all providers have, and the errors that these checks return.

use forebay_shared::secret::Secret;
use http::header::HeaderValue;

use super::http::{ClientError, Endpoint, EndpointError};

/// A setting of a provider that cannot be used. This error ends the process before it opens a port.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Requests cannot be sent to a base URL.
    #[error("{setting} {error}")]
    BaseUrl {
        /// The variable, or the field of the providers file.
        setting: String,
        /// What a base URL must be.
        error: EndpointError,
    },
    /// A key or a header has characters that no HTTP header can carry.
    #[error(
        "the {header_or_key} of the provider {provider} holds characters that cannot be sent in an HTTP header"
    )]
    Unsendable {
        /// The name of the provider.
        provider: String,
        /// The header's name, or `key`, perhaps with the variable that holds the key.
        header_or_key: String,
    },
    /// TLS or the proxy cannot be set up for the provider of this name.
    #[error("the connections to the provider {0} cannot be set up")]
    Client(String, #[source] ClientError),
}

impl SettingsError {
    /// The same error. If it is about the key, it also names the variable that holds the key.
    pub(super) fn with_key_variable(self, variable: &str) -> Self {
        match self {
            Self::Unsendable {
                provider,
                header_or_key,
            } if header_or_key == "key" => Self::Unsendable {
                provider,
                header_or_key: format!("key {variable}"),
            },
            other => other,
        }
    }
}

/// Reads a base URL.
///
/// # Errors
/// [`SettingsError::BaseUrl`], naming the setting.
pub(super) fn base_url(setting: &str, text: &str) -> Result<Endpoint, SettingsError> {
    Endpoint::parse(text).map_err(|error| SettingsError::BaseUrl {
        setting: setting.to_owned(),
        error,
    })
}

/// A header's value, marked as sensitive so that no library prints it. `header_or_key` is the header's name, or
/// `key`, perhaps with the variable that holds the key.
///
/// # Errors
/// [`SettingsError::Unsendable`], naming the provider and the header.
pub(super) fn header_value(
    provider: &str,
    header_or_key: &str,
    value: &Secret,
) -> Result<HeaderValue, SettingsError> {
    let mut value =
        HeaderValue::from_str(value.expose()).map_err(|_| SettingsError::Unsendable {
            provider: provider.to_owned(),
            header_or_key: header_or_key.to_owned(),
        })?;
    value.set_sensitive(true);
    Ok(value)
}
