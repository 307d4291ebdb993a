//! The name of a provider's account.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of an account: `openai` for a provider, `openai/gpt-5` for one model of it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct AccountKey(String);

impl AccountKey {
    /// The account of a provider.
    #[must_use]
    pub fn of_provider(provider: &str) -> Self {
        Self(provider.to_owned())
    }

    /// The account of one model of a provider.
    #[must_use]
    pub fn of_model(provider: &str, model: &str) -> Self {
        Self(format!("{provider}/{model}"))
    }

    /// The account with this name. The text is not checked.
    #[must_use]
    pub const fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the provider: the part before the first `/`.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
