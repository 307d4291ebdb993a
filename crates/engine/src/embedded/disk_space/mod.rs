//! Keeps space on the disk for the jobs that are accepted already.
//!
//! A file in the data folder, the reserve, holds space while other files fill the disk. When a write finds the disk full, new
//! jobs are refused, and the reserve is released in steps for the writes of accepted jobs. At half of the reserve, workers get no
//! further jobs either, so that the replies of running calls can still be stored. When the disk has space again, the reserve
//! is filled again.
//!
//! [`decide`] is a pure function. Only the writing thread and the start of the engine change the reserve.

mod decision;
mod reserve;

use std::{
    io,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::ffi;

use decision::{Decision, Measured, decide};
use reserve::Reserve;

/// The shortest time for which new jobs are refused. Without it, free space that varies would cause many log messages.
const FULL_TIME_MIN: Duration = Duration::from_secs(5);

/// The space on the disk of the data folder.
pub(super) struct DiskSpace {
    reserve: Mutex<Reserve>,
    /// Whether new jobs are refused.
    is_full: AtomicBool,
    /// Whether workers get no jobs.
    is_reserve_low: AtomicBool,
    full_since: Mutex<Option<Instant>>,
}

/// Which work a write belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteKind {
    /// A new job, or another write that a full store may refuse, such as a client's write of a session. It is refused while the
    /// disk is full.
    NewJob,
    /// A claim of a job by a worker. It is refused while the reserve is low.
    Claim,
    /// Any other write.
    Other,
}

/// The disk has no space for this write.
#[derive(Debug, thiserror::Error)]
#[error("the disk of the data folder is full")]
pub(super) struct DiskFull;

impl DiskSpace {
    /// Opens the reserve in the data folder, and fills it if the disk has space.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut reserve = Reserve::open(folder)?;
        let filled = reserve.fill();
        let space = Self {
            is_full: AtomicBool::new(false),
            is_reserve_low: AtomicBool::new(reserve.is_low()),
            reserve: Mutex::new(reserve),
            full_since: Mutex::default(),
        };
        match filled {
            Ok(()) => {}
            Err(error) if is_full(&error) => {
                space.set_full();
                space.log_if_low();
            }
            Err(error) => tracing::warn!(
                %error,
                "the file system of the data folder cannot hold a reserve: on a full disk, accepted jobs may have to wait for space"
            ),
        }
        Ok(space)
    }

    /// Whether new jobs are refused.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Whether a write of this kind is refused.
    pub(super) fn refuses(&self, kind: WriteKind) -> bool {
        match kind {
            WriteKind::NewJob => self.is_full(),
            WriteKind::Claim => self.is_full() && self.is_reserve_low.load(Ordering::Relaxed),
            WriteKind::Other => false,
        }
    }

    /// Records that the disk is full: new jobs are refused from now on.
    pub(super) fn set_full(&self) {
        *lock(&self.full_since) = Some(Instant::now());
        if !self.is_full.swap(true, Ordering::Relaxed) {
            let reserve = lock(&self.reserve);
            tracing::warn!(
                data_dir = %reserve.folder().display(),
                reserve_bytes = reserve.bytes(),
                "the disk is full: new jobs are refused, and accepted jobs use the reserve; free space on the disk of the data folder"
            );
        }
    }

    /// Releases a part of the reserve. Returns `false` if nothing is left.
    pub(super) fn release_step(&self) -> bool {
        let mut reserve = lock(&self.reserve);
        let is_released = match reserve.release_step() {
            Ok(is_released) => is_released,
            Err(error) => {
                tracing::warn!(%error, "the reserve of the data folder cannot be released");
                false
            }
        };
        let is_low_now = reserve.is_low() && !self.is_reserve_low.swap(true, Ordering::Relaxed);
        drop(reserve);
        if is_low_now {
            self.log_if_low();
        }
        is_released
    }

    fn log_if_low(&self) {
        let reserve = lock(&self.reserve);
        if reserve.is_low() {
            tracing::warn!(
                reserve_bytes = reserve.bytes(),
                "half of the reserve on the full disk is used: no further jobs are run; the rest is kept for the replies of running calls"
            );
        }
    }

    /// Measures the disk. Refuses new jobs if it is almost full, and accepts them if it has space again. Returns whether the
    /// write-ahead log, with this many bytes, should be copied into the database now.
    pub(super) fn check(&self, log_bytes: u64) -> bool {
        let mut reserve = lock(&self.reserve);
        // If the free space cannot be measured, a write shows that the disk is full.
        let Ok(free_bytes) = reserve.free_bytes() else {
            return false;
        };
        let decision = decide(&Measured {
            free_bytes,
            log_bytes,
            reserve_bytes: reserve.bytes(),
            reserve_bytes_max: reserve.bytes_max(),
            is_full: self.is_full(),
        });
        match decision {
            Decision::Unchanged => false,
            Decision::CopyLog => true,
            Decision::Full => {
                drop(reserve);
                self.set_full();
                true
            }
            Decision::Free => {
                let is_recent = lock(&self.full_since)
                    .is_some_and(|since: Instant| since.elapsed() < FULL_TIME_MIN);
                // Other errors are ignored: a file system that cannot hold a reserve must not stop new jobs for ever.
                if !is_recent && !reserve.fill().is_err_and(|error| is_full(&error)) {
                    self.is_reserve_low.store(false, Ordering::Relaxed);
                    self.is_full.store(false, Ordering::Relaxed);
                    tracing::info!(
                        free_bytes,
                        "the disk has space again: new jobs are accepted"
                    );
                }
                false
            }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether SQLite reports that the disk is full. The code is another one when SQLite extends the index of the write-ahead log.
pub(super) fn is_disk_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_FULL | ffi::SQLITE_IOERR_SHMSIZE))
}
