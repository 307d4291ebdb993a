//! Finds the accounts of providers that the jobs of a model may wait for. The gateway knows no providers, so the binary
//! passes in a function.

use std::{fmt, sync::Arc};

use forebay_shared::account::AccountKey;

type Find = dyn Fn(&str) -> Vec<AccountKey> + Send + Sync;

/// Finds the accounts that the jobs of a model may wait for. By default it finds none.
#[derive(Clone)]
pub struct ModelAccounts(Arc<Find>);

impl ModelAccounts {
    /// `find` gets the model that a submit names. It is called while a lock is held, so it must not block.
    pub fn new(find: impl Fn(&str) -> Vec<AccountKey> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// The accounts for this model.
    #[must_use]
    pub fn of(&self, model: &str) -> Vec<AccountKey> {
        self.0(model)
    }
}

impl Default for ModelAccounts {
    fn default() -> Self {
        Self::new(|_| Vec::new())
    }
}

impl fmt::Debug for ModelAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelAccounts").finish_non_exhaustive()
    }
}
