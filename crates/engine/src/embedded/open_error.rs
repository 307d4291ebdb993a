//! Why the embedded engine cannot start, each with what to change.

use std::{io, path::PathBuf};

/// The embedded engine cannot start. Each message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made, read or written.
    #[error(
        "cannot use the data folder {path}: set FOREBAY_DATA_DIR to a folder that this user may \
         write to", path = path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process works on the folder.
    #[error(
        "the data folder {path} is in use by {holder}: stop that process, or set FOREBAY_DATA_DIR \
         to another folder", path = path.display(), holder = process(*holder_pid)
    )]
    Held {
        /// The process, if it has said so.
        holder_pid: Option<u32>,
        /// The folder.
        path: PathBuf,
    },
    /// A newer release wrote the database.
    #[error(
        "{path} was written by a newer release (schema {found}, this one knows up to {known}): run \
         that release, or set FOREBAY_DATA_DIR to another folder", path = path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The newest version that this release can read.
        known: i64,
    },
    /// The file is no database of Forebay's.
    #[error(
        "{path} is not a database of Forebay: move it away, or set FOREBAY_DATA_DIR to another \
         folder", path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file system lacks what a write-ahead log needs.
    #[error(
        "the file system of {path} cannot hold a database with a write-ahead log: set \
         FOREBAY_DATA_DIR to a folder on a local disk", path = path.display()
    )]
    NoWal {
        /// The database.
        path: PathBuf,
    },
    /// SQLite cannot open or read the database.
    #[error(
        "cannot open the database {path}: check the disk's room and permissions, restore the \
         folder from a backup, or set FOREBAY_DATA_DIR to another folder", path = path.display()
    )]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The system gives this process no thread.
    #[error("cannot start a thread for the database: raise the limit on threads (ulimit -u)")]
    Thread {
        /// Why not.
        source: io::Error,
    },
}

fn process(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => String::from("another process"),
    }
}
