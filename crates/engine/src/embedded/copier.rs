//! The thread that copies what was committed from SQLite's write-ahead log into the database, a checkpoint in its
//! words, so that the writing thread goes on meanwhile.
//!
//! SQLite starts the log anew when a transaction begins and all of it is copied. While others write that moment never
//! comes, so the writing thread copies the little that came during the last copy, between two of its transactions.
//! It is then that SQLite syncs the database; so that this, too, is little, the copier has synced it before.
//!
//! A copy that fails is the end of all writing: what the system does with pages that it could not write is not known, so
//! a later sync that goes well would say nothing of them, and the log, the only good copy, must not be started anew.

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

use rusqlite::{Connection, ErrorCode};

use super::durable::Durable;

/// From this length the log is copied, in pages of 4 KiB: the longer it is, the more often a page was written
/// meanwhile that is copied once, and the longer each look into it takes.
const COPY_FROM: u32 = 8_000;
/// At this length the writing thread waits for the copy, so that it does not outrun it. The log may still get longer
/// while somebody reads for long, a backup for one: what he may yet read is not copied over.
const WAIT_FROM: u32 = 4 * COPY_FROM;
/// How long the copier waits when it cannot copy now, before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
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
    durable: Arc<Durable>,
}

/// What the thread runs.
pub(super) struct Copier {
    db: Connection,
    length: Arc<AtomicU32>,
    asked: mpsc::Receiver<()>,
    done: mpsc::SyncSender<()>,
    durable: Arc<Durable>,
    sync: Box<dyn FnMut() -> io::Result<()> + Send>,
}

/// The log of the database that `writes` commits to, and the loop that copies it over the connection `copies`. `sync`
/// puts on the disk what was copied; `durable` learns if that fails.
pub(super) fn new(
    writes: &mut Connection,
    copies: Connection,
    durable: &Arc<Durable>,
    sync: impl FnMut() -> io::Result<()> + Send + 'static,
) -> rusqlite::Result<(Log, Copier)> {
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
        durable: Arc::clone(durable),
    };
    let copier = Copier {
        db: copies,
        length,
        asked,
        done: tell,
        durable: Arc::clone(durable),
        sync: Box::new(sync),
    };
    Ok((log, copier))
}

impl Log {
    /// Keeps the log short; to be called between two transactions of `db`.
    pub(super) fn keep_short(&mut self, db: &Connection) {
        if self.durable.has_failed() {
            return;
        }
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
            copy(db, &self.durable);
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
    pub(super) fn run(mut self) {
        while self.asked.recv().is_ok() {
            self.copy();
            if self.done.send(()).is_err() {
                break;
            }
        }
    }

    fn copy(&mut self) {
        for _ in 0..COPIES_MAX {
            match copy(&self.db, &self.durable) {
                Copied::UpTo(copied) => {
                    let length = self.length.load(Ordering::Relaxed);
                    if length.saturating_sub(copied) <= LEFT_MAX {
                        break;
                    }
                }
                Copied::NotNow => {
                    thread::sleep(PAUSE);
                    return;
                }
                Copied::Failed => return,
            }
        }
        if let Err(error) = (self.sync)() {
            tracing::error!(%error, "the database cannot be synced: nothing is written any more");
            self.durable.fail();
        }
    }
}

/// What became of a copy.
enum Copied {
    /// The log is copied up to this length.
    UpTo(u32),
    /// The disk is full, or somebody else is at it: another program may copy the log of a database, too. What is in
    /// the log is safe there.
    NotNow,
    /// The disk failed, now or before.
    Failed,
}

/// Copies what can be copied without holding anybody up.
fn copy(db: &Connection, durable: &Durable) -> Copied {
    if durable.has_failed() {
        return Copied::Failed;
    }
    // Nothing is told of the log's length when somebody else is at it.
    let copied = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        row.get::<_, i64>(2).map(u32::try_from)
    });
    match copied {
        Ok(Ok(copied)) => Copied::UpTo(copied),
        Ok(Err(_)) => Copied::NotNow,
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            tracing::warn!(%error, "the write-ahead log cannot be copied into the database");
            Copied::NotNow
        }
        Err(error) => {
            tracing::error!(
                %error,
                "the write-ahead log cannot be copied into the database: nothing is written any more"
            );
            durable.fail();
            Copied::Failed
        }
    }
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
        let durable = Arc::default();
        let (mut log, copier) = new(&mut database.db, copies, &durable, || Ok(())).unwrap();
        let thread = thread::spawn(move || copier.run());
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
        let durable = Arc::default();
        let (mut log, copier) = new(&mut database.db, copies, &durable, || Ok(())).unwrap();
        database.write(COPY_FROM);
        log.keep_short(&database.db);
        assert!(log.is_asked);
        database.write(COPY_FROM);
        log.keep_short(&database.db);
        assert!(log.is_asked, "it is copied, and nobody waits for that yet");
        database.write(2 * COPY_FROM);
        let thread = thread::spawn(move || copier.run());
        log.keep_short(&database.db);
        assert!(!log.is_asked, "the copy was waited for");
        database.write(1);
        assert!(log.length.load(Ordering::Relaxed) < 10, "the log is new");
        drop(log);
        thread.join().unwrap();
    }

    #[test]
    fn after_a_sync_that_failed_nothing_is_copied_any_more() {
        let mut database = Database::new();
        let copies = Connection::open(&database.path).unwrap();
        let durable = Arc::<Durable>::default();
        let fails = || Err(io::ErrorKind::Other.into());
        let (mut log, copier) = new(&mut database.db, copies, &durable, fails).unwrap();
        let thread = thread::spawn(move || copier.run());
        database.write(COPY_FROM);
        log.keep_short(&database.db);
        log.rest();
        assert!(durable.has_failed());
        let before = log.length.load(Ordering::Relaxed);
        database.write(COPY_FROM);
        log.keep_short(&database.db);
        assert!(!log.is_asked);
        database.write(1);
        assert!(
            log.length.load(Ordering::Relaxed) > before,
            "the log went on"
        );
        drop(log);
        thread.join().unwrap();
    }

    #[test]
    fn somebody_else_who_copies_is_no_failure() {
        static WAITING: AtomicU32 = AtomicU32::new(0);
        let database = Database::new();
        database.write(10);
        // A reader of what is copied last, so that whoever waits for it holds the lock of those who copy.
        let reader = Connection::open(&database.path).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM t;")
            .unwrap();
        database.write(10);
        let mut other = Connection::open(&database.path).unwrap();
        other
            .busy_handler(Some(|tries| {
                WAITING.store(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
                tries < 20_000 && WAITING.load(Ordering::Relaxed) < 2
            }))
            .unwrap();
        let copying = thread::spawn(move || {
            let _busy = other.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
        });
        while WAITING.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        let durable = Durable::default();
        assert!(matches!(copy(&database.db, &durable), Copied::NotNow));
        assert!(!durable.has_failed());
        drop(reader);
        copying.join().unwrap();
        assert!(matches!(copy(&database.db, &durable), Copied::UpTo(_)));
    }
}
