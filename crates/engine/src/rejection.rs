//! Why a call to a store failed.
//!
//! Each engine classifies the errors of its library as a [`Rejection`]. One mapping turns a rejection into
//! the [`StoreError`] of the trait `Store`.

use std::{error::Error, sync::Arc};

use forebay_shared::store::StoreError;

/// Why a read or a write failed. The type is `Clone`, because one failed transaction rejects all of its writes.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Rejection {
    /// The disk or the server's memory is full. Nothing was written.
    #[error("the store is full")]
    Full(#[source] Arc<dyn Error + Send + Sync>),
    /// The store is closed, unreachable, slow or busy. The call may have taken effect; it is safe to repeat.
    #[error("the store is unavailable")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// A value is larger than the store accepts. Nothing was written.
    #[error("a value is larger than the store accepts")]
    TooLarge,
    /// The store refused the statement, or its data cannot be read. A retry cannot help.
    #[error("the store is broken")]
    Broken(#[source] Arc<dyn Error + Send + Sync>),
}

/// What a call does when the store is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnStoreFull {
    /// The call is refused. For calls that a full store may refuse, such as the admission of a new job.
    Refuse,
    /// The caller has to repeat the call. For reads and all other writes.
    Retry,
}

impl Rejection {
    /// Wraps a transient error.
    pub(crate) fn unavailable(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Arc::new(error))
    }

    /// Returns the error that the trait `Store` defines for this rejection.
    pub(crate) fn into_store_error(self, on_store_full: OnStoreFull) -> StoreError {
        match (self, on_store_full) {
            (Self::Full(_), OnStoreFull::Refuse) => StoreError::Full,
            (Self::Full(error) | Self::Unavailable(error), _) => {
                StoreError::Unavailable(Some(Box::new(error)))
            }
            (Self::TooLarge, _) => StoreError::TooLarge,
            (Self::Broken(error), _) => StoreError::Broken(Box::new(error)),
        }
    }
}

/// Returns the error of the trait `Store` for data that cannot be read or written, or that contradicts other data.
pub(crate) fn broken_data(error: impl Error + Send + Sync + 'static) -> StoreError {
    StoreError::Broken(Box::new(error))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_full_store_refuses_new_jobs_and_other_calls_can_be_repeated() {
        let full = || Rejection::Full(Arc::new(io::Error::from(io::ErrorKind::StorageFull)));
        let store_error = full().into_store_error(OnStoreFull::Refuse);
        assert!(matches!(store_error, StoreError::Full), "{store_error:?}");
        assert!(full().into_store_error(OnStoreFull::Retry).is_transient());
    }

    #[test]
    fn a_retry_can_help_while_the_store_is_unavailable_but_not_if_it_is_broken() {
        let error = || io::Error::from(io::ErrorKind::TimedOut);
        for on_store_full in [OnStoreFull::Refuse, OnStoreFull::Retry] {
            let unavailable = Rejection::unavailable(error()).into_store_error(on_store_full);
            assert!(unavailable.is_transient(), "{unavailable:?}");
            let store_error = Rejection::Broken(Arc::new(error())).into_store_error(on_store_full);
            assert!(
                matches!(store_error, StoreError::Broken(_)),
                "{store_error:?}"
            );
        }
    }
}
