//! A system clock that a test sets while processes run: libfaketime, of the Debian package `faketime`.
//!
//! The processes read the offset of the clock from a file. Their monotonic clocks do not change, as on a machine on which an
//! operator sets the clock.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

/// Where libfaketime keeps its shared memory. The files of killed processes stay there.
const SHARED_MEMORY: &str = "/dev/shm";
/// The prefixes of the names of these files. The process id follows.
const SHARED_FILES: [&str; 2] = ["faketime_shm_", "sem.faketime_sem_"];

/// The system clock of some processes. At first it has the real time.
pub struct FakeClock {
    folder: TempDir,
}

impl FakeClock {
    /// A clock with the real time.
    ///
    /// # Panics
    /// If the file of its offset cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("forebay-clock-").expect("a temporary folder is made");
        let clock = Self { folder };
        clock.set_offset_s(0);
        clock
    }

    /// Sets the clock to the real time plus this many seconds.
    ///
    /// # Panics
    /// If the file of the offset cannot be written.
    pub fn set_offset_s(&self, seconds: i64) {
        // A rename is atomic, so a process never reads a part of the offset.
        let written = self.folder.path().join("next");
        fs::write(&written, format!("{seconds:+}\n")).expect("the offset is written");
        fs::rename(&written, self.file()).expect("the offset is written");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// The environment variables of a process with this clock.
    ///
    /// # Panics
    /// If libfaketime is not installed.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let library = library().expect("libfaketime is missing: install the package `faketime`");
        // libfaketime needs the allocator of the C library: with jemalloc, which Redis uses, it does not start.
        let preload = format!("{} libc.so.6", library.display());
        vec![
            ("LD_PRELOAD", preload),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", String::from("1")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", String::from("1")),
        ]
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for FakeClock {
    fn drop(&mut self) {
        for file in fs::read_dir(SHARED_MEMORY).into_iter().flatten().flatten() {
            let name = file.file_name();
            let name = name.to_string_lossy();
            let mut names = SHARED_FILES.iter();
            let pid = names.find_map(|prefix| name.strip_prefix(prefix));
            if pid.is_some_and(|pid| !PathBuf::from("/proc").join(pid).exists()) {
                // Another test may have deleted the file.
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

/// The library, in the folder of any architecture.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists())
}
