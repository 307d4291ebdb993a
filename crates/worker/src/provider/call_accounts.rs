//! The accounts whose permits a call needs.

use forebay_shared::account::AccountKey;

/// The accounts whose permits a call needs. Users see their names, which hold no secret: only the names of the provider
/// and the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallAccounts {
    /// The account of the provider.
    pub provider: AccountKey,
    /// The account of the model, by the name that is sent. `None` for `NAME/*`, whose model is not known before the call.
    pub model: Option<AccountKey>,
}

impl CallAccounts {
    /// The account that a rate limit closes, and to which the limits in the headers of an answer belong.
    #[must_use]
    pub fn rate_limited(&self) -> &AccountKey {
        self.model.as_ref().unwrap_or(&self.provider)
    }

    /// All accounts of the call, the provider's first.
    pub fn keys(&self) -> impl Iterator<Item = &AccountKey> {
        std::iter::once(&self.provider).chain(&self.model)
    }
}
