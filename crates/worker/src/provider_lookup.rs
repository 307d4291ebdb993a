//! The trait through which the worker finds the provider for a model.

use std::{collections::BTreeMap, sync::Arc};

use forebay_shared::{
    account::{AccountKey, ConfiguredLimits},
    job::JobError,
};

use crate::provider::{CallAccounts, Provider, ProviderRegistry};

/// Finds the provider of a model.
pub trait ProviderLookup: Send + Sync {
    /// The provider, and the name of the model that is sent to it.
    ///
    /// # Errors
    /// The error with which the job fails if no provider can answer, such as `provider_not_configured`.
    fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError>;

    /// The accounts whose permits a call of this model needs. `None` if the model is empty or its provider is not configured.
    /// Sends no request.
    fn accounts_of(&self, model: &str) -> Option<CallAccounts>;

    /// Whether a provider of this name is configured.
    fn has_provider(&self, name: &str) -> bool;

    /// The models that the configuration names, each with its provider.
    fn configured_models(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The configured limits, by account. An account without limits is absent.
    fn limits(&self) -> &BTreeMap<AccountKey, ConfiguredLimits> {
        static NONE: BTreeMap<AccountKey, ConfiguredLimits> = BTreeMap::new();
        &NONE
    }
}

impl ProviderLookup for ProviderRegistry {
    fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError> {
        Self::resolve(self, model)
    }

    fn accounts_of(&self, model: &str) -> Option<CallAccounts> {
        Self::accounts_of(self, model)
    }

    fn has_provider(&self, name: &str) -> bool {
        Self::has_provider(self, name)
    }

    fn configured_models(&self) -> Vec<(String, String)> {
        Self::configured_models(self)
    }

    fn limits(&self) -> &BTreeMap<AccountKey, ConfiguredLimits> {
        Self::limits(self)
    }
}
