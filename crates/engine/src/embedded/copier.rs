//! The thread that copies what was committed from SQLite's write-ahead log into the database, a checkpoint in its
//! words, so that the writing thread goes on meanwhile.
//!
//! SQLite starts the log anew when a transaction begins and all of it is copied. While others write that moment never
//! comes, so the writing thread copies the little that came during the last copy, between two of its transactions.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
    mpsc,
};

use rusqlite::Connection;

/// From this length the log is copied, in pages of 4 KiB: the longer it is, the more often a page was written
/// meanwhile that is copied once, and the longer each look into it takes.
const COPY_FROM: u32 = 8_000;
/// At this length the writing thread waits for the copy, so that the log does not grow without bound.
const WAIT_FROM: u32 = 4 * COPY_FROM;
/// A copy is followed by another one as long as more came meanwhile than the writing thread should copy itself.
const LEFT_MAX: u32 = 500;
/// Copies in a row at most.
const COPIES_MAX: usize = 4;

/// The writing thread's side.
pub(super) struct Log {
    length: Arc<AtomicU32>,
    ask: mpsc::SyncSender<()>,
    done: mpsc::Receiver<()>,
    is_asked: bool,
}

/// What the thread runs.
pub(super) struct Copier {
    db: Connection,
    length: Arc<AtomicU32>,
    asked: mpsc::Receiver<()>,
    done: mpsc::SyncSender<()>,
}

/// The log of the database that `writes` commits to, and the loop that copies it over the connection `copies`.
pub(super) fn new(writes: &mut Connection, copies: Connection) -> rusqlite::Result<(Log, Copier)> {
    let length = Arc::<AtomicU32>::default();
    let newest = Arc::clone(&length);
    // In the place of SQLite's own hook, which would copy in the writing thread.
    writes.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
        newest.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }))?;
    let (ask, asked) = mpsc::sync_channel(1);
    let (tell, done) = mpsc::sync_channel(1);
    let log = Log {
        length: Arc::clone(&length),
        ask,
        done,
        is_asked: false,
    };
    let copier = Copier {
        db: copies,
        length,
        asked,
        done: tell,
    };
    Ok((log, copier))
}

impl Log {
    /// Keeps the log short; to be called between two transactions of `db`.
    pub(super) fn keep_short(&mut self, db: &Connection) {
        let length = self.length.load(Ordering::Relaxed);
        if !self.is_asked {
            self.is_asked = length >= COPY_FROM && self.ask.send(()).is_ok();
            return;
        }
        let is_done = if length < WAIT_FROM {
            self.done.try_recv().is_ok()
        } else {
            self.done.recv().is_ok()
        };
        if is_done {
            self.is_asked = false;
            copy(db);
        }
    }

    /// Waits until nobody copies any more.
    pub(super) fn rest(&mut self) {
        if std::mem::take(&mut self.is_asked) {
            // An error: the thread has ended.
            let _ = self.done.recv();
        }
    }
}

impl Copier {
    /// Copies when asked, until the writing thread has ended.
    pub(super) fn run(self) {
        while self.asked.recv().is_ok() {
            for _ in 0..COPIES_MAX {
                let copied = copy(&self.db);
                let length = self.length.load(Ordering::Relaxed);
                if length.saturating_sub(copied) <= LEFT_MAX {
                    break;
                }
            }
            if self.done.send(()).is_err() {
                break;
            }
        }
    }
}

/// Copies what can be copied without holding anybody up, and says how long the log is up to there.
fn copy(db: &Connection) -> u32 {
    let copied = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2));
    copied.unwrap_or_else(|error| {
        // It is tried again after the next transaction; what is in the log is safe there.
        tracing::warn!(%error, "the write-ahead log cannot be copied into the database");
        0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW_BYTES: i64 = 3_000;

    struct Database {
        _folder: tempfile::TempDir,
        path: std::path::PathBuf,
        db: Connection,
    }

    impl Database {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("test.db");
            let db = Connection::open(&path).unwrap();
            db.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t (x)",
            )
            .unwrap();
            Self {
                _folder: folder,
                path,
                db,
            }
        }

        /// Writes about so many pages in one transaction.
        fn write(&self, pages: u32) {
            self.db.execute_batch("BEGIN").unwrap();
            let mut insert = self
                .db
                .prepare_cached("INSERT INTO t VALUES (zeroblob(?1))")
                .unwrap();
            for _ in 0..pages {
                insert.execute([ROW_BYTES]).unwrap();
            }
            self.db.execute_batch("COMMIT").unwrap();
        }
    }

    #[test]
    fn the_log_starts_anew_however_much_is_written() {
        let mut database = Database::new();
        let copies = Connection::open(&database.path).unwrap();
        let (mut log, copier) = new(&mut database.db, copies).unwrap();
        let thread = std::thread::spawn(move || copier.run());
        let mut longest = 0;
        let mut restarts = 0;
        let mut before = 0;
        for _ in 0..600 {
            database.write(100);
            log.keep_short(&database.db);
            let length = log.length.load(Ordering::Relaxed);
            restarts += u32::from(length < before);
            before = length;
            longest = longest.max(length);
        }
        // 60,000 pages in all.
        assert!(restarts > 0, "the log is {longest} pages long");
        assert!(longest < WAIT_FROM + 1_000, "{longest} pages");
        log.rest();
        drop(log);
        thread.join().unwrap();
    }

    #[test]
    fn a_log_that_is_too_long_is_waited_for() {
        let mut database = Database::new();
        let copies = Connection::open(&database.path).unwrap();
        let (mut log, copier) = new(&mut database.db, copies).unwrap();
        database.write(COPY_FROM);
        log.keep_short(&database.db);
        assert!(log.is_asked);
        database.write(COPY_FROM);
        log.keep_short(&database.db);
        assert!(log.is_asked, "it is copied, and nobody waits for that yet");
        database.write(2 * COPY_FROM);
        let thread = std::thread::spawn(move || copier.run());
        log.keep_short(&database.db);
        assert!(!log.is_asked, "the copy was waited for");
        database.write(1);
        assert!(log.length.load(Ordering::Relaxed) < 10, "the log is new");
        drop(log);
        thread.join().unwrap();
    }
}
