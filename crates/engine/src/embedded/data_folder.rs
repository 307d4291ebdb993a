//! The data folder: private to its owner, and locked by one process at a time.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::open_error::OpenError;

const DATABASE: &str = "forebay.db";
const LOCK: &str = "lock";
/// The most bytes that are read from the lock file. The file contains a process id and a line feed.
const HOLDER_BYTES_MAX: u64 = 32;

/// The data folder, locked until this value is dropped.
#[derive(Debug)]
pub(super) struct DataFolder {
    path: PathBuf,
    // This file must stay open longer than all connections. The close of any descriptor of a file releases all POSIX
    // locks of the process on that file, including SQLite's locks.
    database: File,
    _lock: File,
}

impl DataFolder {
    /// Creates the folder if it does not exist, locks it, and creates an empty database file that only its owner
    /// may read. SQLite gives its other files the same permissions.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Folder {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(unusable)?;
        let mut lock = open_private(&path.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    holder_pid: read_holder(&mut lock),
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        match write_holder(&mut lock) {
            // Without the id in the file, only the error of a second process is less clear.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            result => result.map_err(unusable)?,
        }
        let database = open_private(&path.join(DATABASE)).map_err(unusable)?;
        Ok(Self {
            path: path.to_owned(),
            database,
            _lock: lock,
        })
    }

    /// The path of the folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the database file.
    pub(super) fn sync_database(&self) -> io::Result<()> {
        self.database.sync_data()
    }

    /// Syncs SQLite's write-ahead log, which exists once a connection is open.
    pub(super) fn sync_log(&self) -> io::Result<()> {
        // SQLite resolves all symbolic links and puts its log beside the real file.
        let mut path = self.database().canonicalize()?.into_os_string();
        path.push("-wal");
        File::open(path)?.sync_data()
    }

    /// The path of the database file.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

pub(super) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn write_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// Reads the id of the process that holds the lock; `None` if the process has not written its id yet.
fn read_holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_error_of_a_second_process_names_the_first_one_and_the_setting_to_change() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let first = DataFolder::lock(&path).unwrap();
        let error = DataFolder::lock(&path).unwrap_err();
        let OpenError::InUse { holder_pid, .. } = &error else {
            panic!("the error should be `InUse`: {error:?}");
        };
        assert_eq!(*holder_pid, Some(std::process::id()));
        let message = error.to_string();
        for part in [
            std::process::id().to_string().as_str(),
            path.to_str().unwrap(),
            "FOREBAY_DATA_DIR",
        ] {
            assert!(message.contains(part), "{message}");
        }
        drop(first);
        DataFolder::lock(&path).unwrap();
    }

    #[test]
    fn folder_and_files_are_private_to_their_owner() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = DataFolder::lock(&path).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&folder.database()), 0o600);
        assert_eq!(mode(&path.join(LOCK)), 0o600);
    }

    #[test]
    fn an_unusable_path_is_refused_with_the_setting_to_change() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataFolder::lock(&file.path().join("data")).unwrap_err();
        assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
        assert!(error.to_string().contains("FOREBAY_DATA_DIR"));
    }
}
