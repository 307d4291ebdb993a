//! What went wrong on a thread of the engine, and what that means to whoever asked.

use std::sync::Arc;

use forebay_shared::store::StoreError;
use rusqlite::ErrorCode;

/// Why a read or a write did not happen. Shared by all writes of one transaction.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The engine was closed.
    Stopped,
    /// SQLite said no.
    Sqlite(Arc<rusqlite::Error>),
    /// It was written, but is not known to be on the disk, which failed.
    Unsynced,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

/// Whether a write is part of accepting a job, for which a full disk has an answer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepts {
    /// It is: on a full disk the job is refused.
    Yes,
    /// It is not: on a full disk it has to be tried again, since the work was done.
    No,
}

impl Failure {
    /// The error of the port.
    pub(super) fn into_store_error(self, accepts: Accepts) -> StoreError {
        let Self::Sqlite(error) = self else {
            return StoreError::Unavailable(None);
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) if accepts == Accepts::Yes => StoreError::Full,
            Some(
                ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OperationAborted
                | ErrorCode::OperationInterrupted
                | ErrorCode::OutOfMemory
                | ErrorCode::SystemIoFailure,
            ) => StoreError::Unavailable(Some(Box::new(error))),
            _ => StoreError::Broken(Box::new(error)),
        }
    }
}

/// The error for a document that cannot be read or written.
pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Broken(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: std::ffi::c_int) -> Failure {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into()
    }

    #[test]
    fn a_full_disk_refuses_new_jobs_and_lets_others_try_again() {
        let full = || sqlite(rusqlite::ffi::SQLITE_FULL);
        assert!(matches!(
            full().into_store_error(Accepts::Yes),
            StoreError::Full
        ));
        assert!(full().into_store_error(Accepts::No).is_transient());
    }

    #[test]
    fn what_is_corrupt_is_broken_and_what_may_pass_is_not() {
        let corrupt = sqlite(rusqlite::ffi::SQLITE_CORRUPT).into_store_error(Accepts::No);
        assert!(matches!(corrupt, StoreError::Broken(_)));
        let busy = sqlite(rusqlite::ffi::SQLITE_BUSY).into_store_error(Accepts::Yes);
        assert!(busy.is_transient());
        assert!(
            Failure::Stopped
                .into_store_error(Accepts::No)
                .is_transient()
        );
    }
}
