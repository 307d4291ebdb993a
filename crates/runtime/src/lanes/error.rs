//! Why a change was not made.

use forebay_shared::{lane::Refused, store::StoreError};

/// Why a change was not made, or is not known to have been made.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The rules of the lane refuse the change.
    #[error("the change was refused")]
    Refused(#[source] Refused),
    /// The store failed, or did not respond in time. The change may have been made.
    #[error("the store did not confirm the change")]
    Store(#[source] StoreError),
    /// The memory for what the change reads was not free in time. The change was not made.
    #[error("no memory was free for what the change reads")]
    NoMemory,
    /// Too many changes of this lane wait in this process, or the commit has conflicted too often with other processes.
    #[error("too many changes of the lane wait, or conflict with other processes")]
    Contended,
}

impl LaneError {
    /// Why the rules refused the change, if they did.
    #[must_use]
    pub const fn refused(&self) -> Option<Refused> {
        match self {
            Self::Refused(refused) => Some(*refused),
            Self::Store(_) | Self::NoMemory | Self::Contended => None,
        }
    }

    /// Copies the error for another caller of the batch. The source of a store error cannot be cloned, so it is logged
    /// instead.
    pub(super) fn clone_error(&self) -> Self {
        match self {
            Self::Refused(refused) => Self::Refused(*refused),
            Self::Contended => Self::Contended,
            Self::NoMemory => Self::NoMemory,
            Self::Store(StoreError::TooLarge) => Self::Store(StoreError::TooLarge),
            Self::Store(StoreError::Full) => Self::Store(StoreError::Full),
            Self::Store(StoreError::TurnGone) => Self::Store(StoreError::TurnGone),
            Self::Store(StoreError::Unavailable(source)) => {
                tracing::debug!(?source, "the store did not confirm a change");
                Self::Store(StoreError::Unavailable(None))
            }
            Self::Store(StoreError::Newer(newer)) => Self::Store(StoreError::Newer(*newer)),
            Self::Store(StoreError::Broken(source)) => {
                tracing::error!(?source, "the store failed; a change was not made");
                let source = "the cause is in the log of this process";
                Self::Store(StoreError::Broken(source.into()))
            }
        }
    }
}
