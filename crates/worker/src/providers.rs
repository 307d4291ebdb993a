//! The seam to the providers: who answers for a model.

use std::sync::Arc;

use forebay_shared::job::JobError;

use crate::provider::{Provider, Registry};

/// Finds the provider of a model.
pub trait Providers: Send + Sync {
    /// The provider, and the model as it knows it.
    ///
    /// # Errors
    /// What the job fails with when nobody can answer for the model, `provider_not_configured` above all.
    fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError>;
}

impl Providers for Registry {
    fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError> {
        Self::resolve(self, model)
    }
}
