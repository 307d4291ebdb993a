//! The trait through which the worker finds the provider for a model.

use std::sync::Arc;

use forebay_shared::job::JobError;

use crate::provider::{Provider, ProviderRegistry};

/// Finds the provider of a model.
pub trait Providers: Send + Sync {
    /// The provider, and the name of the model that is sent to it.
    ///
    /// # Errors
    /// The error with which the job fails if no provider can answer, such as `provider_not_configured`.
    fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError>;
}

impl Providers for ProviderRegistry {
    fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError> {
        Self::resolve(self, model)
    }
}
