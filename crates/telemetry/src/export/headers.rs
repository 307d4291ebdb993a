//! The headers of each export. Their values may be keys, so nothing prints them.

use std::collections::HashMap;

use forebay_shared::secret::Secret;
use http::{HeaderName, HeaderValue};

use super::{pairs, setting_error::SettingError, variables::Variables};

/// Names and values of headers.
#[derive(Clone, Debug, Default)]
pub(super) struct Headers(Vec<(String, Secret)>);

impl Headers {
    /// Reads `OTEL_EXPORTER_OTLP_HEADERS`.
    ///
    /// # Errors
    /// [`SettingError`] if it is not a list of headers: the collector would refuse every export that lacks its key.
    pub(super) fn read(variables: &Variables<'_>) -> Result<Self, SettingError> {
        let Some((name, text)) = variables.of_traces("HEADERS") else {
            return Ok(Self::default());
        };
        let headers = pairs::parse(&text).map_err(|allowed| SettingError::new(&name, allowed))?;
        let is_header = |(header, value): &(String, String)| {
            header.parse::<HeaderName>().is_ok() && HeaderValue::from_str(value).is_ok()
        };
        if !headers.iter().all(is_header) {
            let allowed = "must be a list of HTTP headers such as name=value,other=value";
            return Err(SettingError::new(&name, allowed));
        }
        let headers = headers.into_iter();
        let headers = headers.map(|(header, value)| (header, Secret::new(&value)));
        Ok(Self(headers.collect()))
    }

    /// The headers with their values, for the exporter.
    pub(super) fn exposed(&self) -> HashMap<String, String> {
        let headers = self.0.iter();
        headers
            .map(|(header, value)| (header.clone(), value.expose().to_owned()))
            .collect()
    }
}
