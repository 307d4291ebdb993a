//! What an error of SQLite means for the store.

use std::sync::Arc;

use rusqlite::{ErrorCode, ffi};

use super::disk_space::is_disk_full;
use crate::rejection::Rejection;

/// The engine is closed, so its threads refuse calls.
#[derive(Debug, thiserror::Error)]
#[error("the embedded engine is closed")]
pub(super) struct EngineClosed;

/// The disk failed. The transaction may or may not be on the disk.
#[derive(Debug, thiserror::Error)]
#[error("the disk failed: nothing is written any more until the process is restarted")]
pub(super) struct DiskFailed;

impl From<rusqlite::Error> for Rejection {
    fn from(error: rusqlite::Error) -> Self {
        let is_full = is_disk_full(&error);
        let code = error.sqlite_error_code();
        let error = Arc::new(error);
        match code {
            _ if is_full => Self::Full(error),
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OperationAborted
                | ErrorCode::OperationInterrupted
                | ErrorCode::OutOfMemory
                | ErrorCode::SystemIoFailure,
            ) => Self::Unavailable(error),
            Some(ErrorCode::TooBig) => Self::TooLarge,
            _ => Self::Broken(error),
        }
    }
}

/// Whether the system could not sync a file.
pub(super) fn is_failed_sync(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(
        code,
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(code: std::ffi::c_int) -> Rejection {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn errors_are_classified_by_whether_a_retry_can_help() {
        let full = rejection(ffi::SQLITE_FULL);
        assert!(matches!(full, Rejection::Full(_)), "{full:?}");
        let full = rejection(ffi::SQLITE_IOERR_SHMSIZE);
        assert!(matches!(full, Rejection::Full(_)), "{full:?}");
        let busy = rejection(ffi::SQLITE_BUSY);
        assert!(matches!(busy, Rejection::Unavailable(_)), "{busy:?}");
        let too_large = rejection(ffi::SQLITE_TOOBIG);
        assert!(matches!(too_large, Rejection::TooLarge), "{too_large:?}");
        let corrupt = rejection(ffi::SQLITE_CORRUPT);
        assert!(matches!(corrupt, Rejection::Broken(_)), "{corrupt:?}");
    }
}
