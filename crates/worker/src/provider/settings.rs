//! Checks of settings that all providers have, and the errors that they end in.

use forebay_shared::secret::Secret;
use http::header::HeaderValue;

use super::http::{ClientError, Endpoint, EndpointError};

/// A setting of a provider that cannot be used. The process exits with it before it opens a port.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A base URL is not one that requests can be sent to.
    #[error("{setting} {error}")]
    BaseUrl {
        /// The variable, or the field of the providers file.
        setting: String,
        /// What a base URL must be.
        error: EndpointError,
    },
    /// A key or a header has characters that no HTTP header can carry.
    #[error(
        "the {what} of the provider {provider} holds characters that cannot be sent in an HTTP header"
    )]
    Unsendable {
        /// The name of the provider.
        provider: String,
        /// `key`, or the header's name.
        what: String,
    },
    /// TLS or the proxy cannot be set up for the provider of this name.
    #[error("the connections to the provider {0} cannot be set up")]
    Client(String, #[source] ClientError),
}

impl SettingsError {
    /// The same error, naming the variable that holds the key.
    pub(super) fn of_key_in(self, variable: &str) -> Self {
        match self {
            Self::Unsendable { provider, what } if what == "key" => Self::Unsendable {
                provider,
                what: format!("key {variable}"),
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

/// A header's value, marked as sensitive so that no library prints it. `what` is the header's name, or `key`.
///
/// # Errors
/// [`SettingsError::Unsendable`], naming the provider and the header.
pub(super) fn header_value(
    provider: &str,
    what: &str,
    value: &Secret,
) -> Result<HeaderValue, SettingsError> {
    let mut value =
        HeaderValue::from_str(value.expose()).map_err(|_| SettingsError::Unsendable {
            provider: provider.to_owned(),
            what: what.to_owned(),
        })?;
    value.set_sensitive(true);
    Ok(value)
}
