//! The thread that copies SQLite's write-ahead log into the database, while the writing thread continues to write.
//!
//! SQLite calls such a copy a checkpoint. After a complete copy, the next transaction overwrites the log from its start.
//! A copy that runs while the writing thread writes is never complete. So the writing thread copies the
//! few remaining pages itself, between two of its transactions. SQLite syncs the database after that copy. This sync is
//! short, because the checkpointer has just synced the database.
//!
//! After a failed copy or sync, nothing is written any more. The system may have dropped the pages that it could not
//! write, so a later sync that succeeds would prove nothing. Only the log is then known to be complete, so SQLite must
//! not overwrite it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use rusqlite::Connection;

use super::{
    disk_health::DiskHealth,
    disk_space::{DiskSpace, is_disk_full},
};

/// The log is copied when it has this many pages of 4 KiB. A longer log saves copies, because a page that
/// was written several times is copied once. A shorter log makes reads faster.
const COPY_FROM_PAGES: u32 = 8_000;
/// While the disk is full, the log is copied when it has this many pages.
const COPY_FROM_PAGES_IF_FULL: u32 = 64;
/// The bytes of a page.
const PAGE_BYTES: u64 = 4_096;
/// When the log has this many pages, the writing thread waits for the copy, so that the log stays bounded. A long
/// read, such as a backup, still makes the log longer, because SQLite copies no page that was written after the read began.
const WAIT_FROM_PAGES: u32 = 4 * COPY_FROM_PAGES;
/// How long the checkpointer waits when it cannot copy now.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The checkpointer copies again while more than this many pages are not copied. The writing thread copies the last
/// pages.
const UNCOPIED_PAGES_MAX: u32 = 500;
/// The checkpointer copies at most this many times for one request.
const COPIES_MAX: usize = 4;

/// The writing thread's handle: it requests copies and completes them.
pub(super) struct CheckpointTrigger {
    /// The length of the log after the last commit.
    log_pages: Arc<AtomicU32>,
    request: mpsc::SyncSender<()>,
    /// Receives a message when a requested copy has ended.
    done: mpsc::Receiver<()>,
    /// Whether a copy was requested and is not completed yet.
    is_requested: bool,
    disk: Arc<DiskHealth>,
    space: Arc<DiskSpace>,
}

/// The loop of the checkpointer's thread.
pub(super) struct Checkpointer {
    db: Connection,
    log_pages: Arc<AtomicU32>,
    requested: mpsc::Receiver<()>,
    done: mpsc::SyncSender<()>,
    disk: Arc<DiskHealth>,
    space: Arc<DiskSpace>,
    sync: Box<dyn FnMut() -> io::Result<()> + Send>,
}

/// Returns the writing thread's handle, and the loop to run on a thread of its own.
///
/// `writer_db` is the connection that writes, `checkpointer_db` the one that copies. `sync` syncs the database file.
pub(super) fn new(
    writer_db: &mut Connection,
    checkpointer_db: Connection,
    disk: &Arc<DiskHealth>,
    space: &Arc<DiskSpace>,
    sync: impl FnMut() -> io::Result<()> + Send + 'static,
) -> rusqlite::Result<(CheckpointTrigger, Checkpointer)> {
    let log_pages = Arc::<AtomicU32>::default();
    let hook_log_pages = Arc::clone(&log_pages);
    // This hook replaces SQLite's own hook, which would copy the log in the writing thread.
    writer_db.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
        hook_log_pages.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }))?;
    let (request, requested) = mpsc::sync_channel(1);
    let (done_sender, done) = mpsc::sync_channel(1);
    let trigger = CheckpointTrigger {
        log_pages: Arc::clone(&log_pages),
        request,
        done,
        is_requested: false,
        disk: Arc::clone(disk),
        space: Arc::clone(space),
    };
    let checkpointer = Checkpointer {
        db: checkpointer_db,
        log_pages,
        requested,
        done: done_sender,
        disk: Arc::clone(disk),
        space: Arc::clone(space),
        sync: Box::new(sync),
    };
    Ok((trigger, checkpointer))
}

impl CheckpointTrigger {
    /// Requests a copy when the log is long enough, and completes a copy that has ended. The writing thread calls this
    /// between two transactions of `db`.
    pub(super) fn request_or_complete(&mut self, db: &Connection) {
        if self.disk.has_failed() {
            return;
        }
        let log_pages = self.log_pages.load(Ordering::Relaxed);
        let is_space_scarce = self.space.check(u64::from(log_pages) * PAGE_BYTES);
        if self.space.is_full() {
            // The log is overwritten from its start after each copy, so it needs no further space.
            if log_pages >= COPY_FROM_PAGES_IF_FULL {
                self.copy_all(db);
            }
            return;
        }
        if is_space_scarce {
            self.copy_all(db);
            return;
        }
        if !self.is_requested {
            self.is_requested = log_pages >= COPY_FROM_PAGES && self.request.send(()).is_ok();
            return;
        }
        let is_done = if log_pages < WAIT_FROM_PAGES {
            self.done.try_recv().is_ok()
        } else {
            self.done.recv().is_ok()
        };
        if is_done {
            self.is_requested = false;
            checkpoint(db, &self.disk);
        }
    }

    /// Copies the complete log on a disk that is full or almost full. Releases the reserve if the copy needs space. Returns
    /// whether the next transaction can overwrite the log.
    pub(super) fn copy_all(&mut self, db: &Connection) -> bool {
        self.until_idle();
        loop {
            match checkpoint(db, &self.disk) {
                Checkpoint::Copied(pages) => {
                    let is_complete = pages >= self.log_pages.load(Ordering::Relaxed);
                    if is_complete {
                        // The next transaction begins a new log.
                        self.log_pages.store(0, Ordering::Relaxed);
                    }
                    return is_complete;
                }
                Checkpoint::Full => {
                    self.space.set_full();
                    if !self.space.release_step() {
                        return false;
                    }
                }
                Checkpoint::Postponed | Checkpoint::Failed => return false,
            }
        }
    }

    /// Waits until the checkpointer is idle.
    pub(super) fn until_idle(&mut self) {
        if std::mem::take(&mut self.is_requested) {
            // An error means that the checkpointer's thread has ended.
            let _ = self.done.recv();
        }
    }
}

impl Checkpointer {
    /// Copies on request, until the writing thread has ended.
    pub(super) fn run(mut self) {
        while self.requested.recv().is_ok() {
            self.copy_and_sync();
            if self.done.send(()).is_err() {
                break;
            }
        }
    }

    fn copy_and_sync(&mut self) {
        for _ in 0..COPIES_MAX {
            match checkpoint(&self.db, &self.disk) {
                Checkpoint::Copied(pages) => {
                    let log_pages = self.log_pages.load(Ordering::Relaxed);
                    if log_pages.saturating_sub(pages) <= UNCOPIED_PAGES_MAX {
                        break;
                    }
                }
                Checkpoint::Full => {
                    // The writing thread copies while the disk is full.
                    self.space.set_full();
                    return;
                }
                Checkpoint::Postponed => {
                    thread::sleep(RETRY_DELAY);
                    return;
                }
                Checkpoint::Failed => return,
            }
        }
        if let Err(error) = (self.sync)() {
            tracing::error!(
                %error,
                "the database cannot be synced: nothing is written any more, and the process ends; \
                 check the disk of the data folder"
            );
            self.disk.mark_failed();
        }
    }
}

/// The result of a copy.
enum Checkpoint {
    /// This many pages of the log are copied.
    Copied(u32),
    /// The disk is full. The log still contains all changes.
    Full,
    /// Another program copies the log at the same time.
    Postponed,
    /// The disk failed, now or before.
    Failed,
}

/// Copies what can be copied without blocking readers or the writer.
fn checkpoint(db: &Connection, disk: &DiskHealth) -> Checkpoint {
    if disk.has_failed() {
        return Checkpoint::Failed;
    }
    // The third column is the number of copied pages. SQLite returns -1 while another program copies.
    let copied = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        row.get::<_, i64>(2).map(u32::try_from)
    });
    match copied {
        Ok(Ok(pages)) => Checkpoint::Copied(pages),
        Ok(Err(_)) => Checkpoint::Postponed,
        Err(error) if is_disk_full(&error) => Checkpoint::Full,
        Err(error) => {
            tracing::error!(
                %error,
                "the write-ahead log cannot be copied into the database: nothing is written any more, and \
                 the process ends; check the disk of the data folder"
            );
            disk.mark_failed();
            Checkpoint::Failed
        }
    }
}

#[cfg(test)]
mod tests;
