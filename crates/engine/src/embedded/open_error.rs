//! The errors that prevent the start of the embedded engine. Each message contains what to change.

use std::{io, path::PathBuf};

/// Why the embedded engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder cannot be created, read or written.
    #[error(
        "cannot use the data folder {path}: set FOREBAY_DATA_DIR to a folder that this user may \
         write to", path = path.display()
    )]
    Folder {
        /// The data folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another process uses the folder.
    #[error(
        "the data folder {path} is in use by {holder}: stop that process, or set FOREBAY_DATA_DIR \
         to another folder", path = path.display(), holder = describe_holder(*holder_pid)
    )]
    InUse {
        /// The id of the process that uses the folder, if the process has written its id.
        holder_pid: Option<u32>,
        /// The data folder.
        path: PathBuf,
    },
    /// A newer release of Forebay wrote the database.
    #[error(
        "{path} was written by a newer release (schema {found}; this release reads schemas up to {known}): run \
         the newer release, or set FOREBAY_DATA_DIR to another folder", path = path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The schema version of the database.
        found: i64,
        /// The newest schema version that this release reads.
        known: i64,
    },
    /// The file is not a database of Forebay.
    #[error(
        "{path} is not a database of Forebay: move it away, or set FOREBAY_DATA_DIR to another \
         folder", path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file system does not support a write-ahead log.
    #[error(
        "the file system of {path} cannot hold a database with a write-ahead log: set \
         FOREBAY_DATA_DIR to a folder on a local disk", path = path.display()
    )]
    NoWal {
        /// The database file.
        path: PathBuf,
    },
    /// The tables of an older release must be written anew, and the disk has no space for both.
    #[error(
        "the first start of this release migrates {path}, which needs {needed_bytes} free bytes, but the disk has \
         {free_bytes}: free space, or run the previous release", path = path.display()
    )]
    NoSpace {
        /// The database file.
        path: PathBuf,
        /// The free space that the migration needs, in bytes.
        needed_bytes: u64,
        /// The free space of the disk, in bytes.
        free_bytes: u64,
    },
    /// SQLite cannot open or read the database.
    #[error(
        "cannot open the database {path}: check the free space and the permissions of the disk, restore the \
         folder from a backup, or set FOREBAY_DATA_DIR to another folder", path = path.display()
    )]
    Database {
        /// The database file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The system refuses to start a thread.
    #[error("cannot start a thread for the database: raise the limit on threads (ulimit -u)")]
    Thread {
        /// The error of the system.
        source: io::Error,
    },
}

fn describe_holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => String::from("another process"),
    }
}
