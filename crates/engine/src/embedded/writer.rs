//! The one thread that writes. It groups all writes that wait into one transaction, and hands it over to the
//! `syncer`, which answers each write only when the transaction is on the disk.
//!
//! Should one of a group fail, the group is undone, and each of them is done in a transaction of its own. A
//! savepoint around each would spare that, but costs a copy of every page that a write touches, always.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    copier::Log,
    counts::Tally,
    durable::Durable,
    failure::Failure,
    intake::Intake,
    syncer::{Committed, Handover},
};

/// Writes that wait for the thread at most; whoever comes then waits for room.
const WAITING_MAX: usize = 1_024;
/// Writes in one transaction at most. While one is synced and answered the next is written, so it is better to have
/// several under way than one that all wait for.
const GROUP_MAX: usize = 128;

/// What a write writes to: the transaction that it shares with others.
pub(super) struct Transaction<'a> {
    pub(super) db: &'a Connection,
    /// What the transaction does to the counts, written once for all of it.
    pub(super) tally: Tally,
}

/// A write on its way.
pub(super) trait Write: Send {
    /// Does it, or does it again after a transaction that was undone.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()>;
    /// Answers it, once its fate is known.
    fn settle(self: Box<Self>, fate: Result<(), Failure>);
}

/// A handle to the writing thread.
pub(super) struct Writer {
    intake: Intake<Box<dyn Write>>,
    transactions: Arc<AtomicU64>,
}

/// What the thread runs.
pub(super) struct WriterLoop {
    db: Connection,
    waiting: mpsc::Receiver<Box<dyn Write>>,
    transactions: Arc<AtomicU64>,
    durable: Arc<Durable>,
    committed: Handover,
    log: Log,
}

impl Writer {
    /// A handle, and the loop to run on a thread of its own. What it commits it numbers by `durable` and hands over
    /// to `committed`; `log` is where SQLite writes it first.
    pub(super) fn new(
        db: Connection,
        durable: Arc<Durable>,
        committed: Handover,
        log: Log,
    ) -> (Self, WriterLoop) {
        let (intake, waiting) = Intake::new(WAITING_MAX);
        let transactions = Arc::<AtomicU64>::default();
        let writer = Self {
            intake,
            transactions: Arc::clone(&transactions),
        };
        let run = WriterLoop {
            db,
            waiting,
            transactions,
            durable,
            committed,
            log,
        };
        (writer, run)
    }

    /// Runs `work` in a transaction; all it wrote is on disk when this answers, or nothing of it. It may run
    /// twice, the first time for nothing. `then` runs as soon as it is on disk, even if nobody waits for the
    /// answer any more.
    pub(super) async fn run<T, W, A>(&self, work: W, then: A) -> Result<T, Failure>
    where
        T: Send + 'static,
        W: Fn(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let write = Pending {
            work,
            then,
            done: None,
            reply,
        };
        self.intake.put(Box::new(write)).await?;
        answer.await.unwrap_or(Err(Failure::Stopped))
    }

    /// Takes no more writes. The thread ends when those that wait are done.
    pub(super) fn stop(&self) {
        self.intake.shut();
    }

    /// How many transactions the thread has begun.
    pub(super) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }
}

impl WriterLoop {
    /// Writes until no handle is left, then tidies the file.
    pub(super) fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while let Some(first) = self.waiting.blocking_recv() {
            group.push(first);
            while group.len() < GROUP_MAX
                && let Ok(next) = self.waiting.try_recv()
            {
                group.push(next);
            }
            self.write(std::mem::take(&mut group));
            self.log.keep_short(&self.db);
        }
        self.log.rest();
        if !self.durable.has_failed()
            && let Err(error) = self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);")
        {
            tracing::warn!(%error, "the write-ahead log stays beside the database");
        }
    }

    /// Writes a group: together, or each alone if one of them fails.
    fn write(&self, mut group: Vec<Box<dyn Write>>) {
        if self.durable.has_failed() {
            settle_all(group, &Failure::Unsynced);
            return;
        }
        self.transactions.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            // None of them is at fault.
            settle_all(group, &Failure::from(error));
            return;
        }
        match self.transact(&mut group) {
            Ok(number) => self.hand_over(number, group),
            Err(error) if group.len() == 1 => settle_all(group, &Failure::from(error)),
            Err(_) => group.into_iter().for_each(|write| self.write(vec![write])),
        }
    }

    fn hand_over(&self, number: u64, writes: Vec<Box<dyn Write>>) {
        let committed = Committed { number, writes };
        if let Err(ended) = self.committed.send(committed) {
            settle_all(ended.0.writes, &Failure::Unsynced);
        }
    }

    /// Does these in the transaction that was begun, and says which it was: all of them are committed afterwards, or
    /// none.
    fn transact(&self, writes: &mut [Box<dyn Write>]) -> rusqlite::Result<u64> {
        let committed = self.run_all(writes).and_then(|()| self.commit());
        // A full disk, for one, has ended the transaction already.
        if committed.is_err()
            && !self.db.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction could not be rolled back");
        }
        committed
    }

    fn commit(&self) -> rusqlite::Result<u64> {
        // Before the commit, so that whoever reads what it wrote knows that it may have.
        let number = self.durable.begin();
        let committed = self.execute("COMMIT");
        if committed.is_err() {
            // Nothing came of it, so nobody need wait for it.
            self.hand_over(number, Vec::new());
        }
        committed.map(|()| number)
    }

    fn run_all(&self, writes: &mut [Box<dyn Write>]) -> rusqlite::Result<()> {
        let mut transaction = Transaction {
            db: &self.db,
            tally: Tally::default(),
        };
        for write in writes {
            write.run(&mut transaction)?;
        }
        transaction.tally.write(&self.db)
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(drop)
    }
}

fn settle_all(writes: Vec<Box<dyn Write>>, failure: &Failure) {
    for write in writes {
        write.settle(Err(failure.clone()));
    }
}

/// A write with its answer.
struct Pending<T, W, A> {
    work: W,
    then: A,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, Failure>>,
}

impl<T, W, A> Write for Pending<T, W, A>
where
    T: Send,
    W: Fn(&mut Transaction<'_>) -> rusqlite::Result<T> + Send,
    A: FnOnce(&T) + Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.done = Some((self.work)(transaction)?);
        Ok(())
    }

    fn settle(self: Box<Self>, fate: Result<(), Failure>) {
        let answer = match (fate, self.done) {
            (Ok(()), Some(done)) => {
                (self.then)(&done);
                Ok(done)
            }
            (Ok(()), None) => Err(Failure::Stopped),
            (Err(failure), _) => Err(failure),
        };
        // Whoever asked may have gone; what was written stays.
        let _gone = self.reply.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::{copier, syncer::Syncer};

    fn start() -> (Arc<Writer>, WriterLoop) {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (x INTEGER PRIMARY KEY)")
            .unwrap();
        let durable = Arc::<Durable>::default();
        let (committed, syncer) = Syncer::new(Arc::clone(&durable), Box::new(|| Ok(())));
        std::thread::spawn(move || syncer.run());
        let copies = Connection::open_in_memory().unwrap();
        let (log, _) = copier::new(&mut db, copies, &durable, || Ok(())).unwrap();
        let (writer, run) = Writer::new(db, durable, committed, log);
        (Arc::new(writer), run)
    }

    async fn insert(writer: Arc<Writer>, x: i64) -> Result<(), Failure> {
        let work = move |Transaction { db, .. }: &mut Transaction<'_>| {
            // Two steps, so that a failure of the second shows whether the first is undone.
            db.execute("INSERT INTO t VALUES (?1)", [x + 1_000])?;
            db.execute("INSERT INTO t VALUES (?1)", [x]).map(drop)
        };
        writer.run(work, |()| {}).await
    }

    #[tokio::test]
    async fn writes_that_wait_share_a_transaction() {
        let (writer, run) = start();
        let mut writes = tokio::task::JoinSet::new();
        for x in 0..64 {
            writes.spawn(insert(writer.clone(), x));
        }
        // All 64 are on their way before the thread begins.
        writer.intake.holds(64).await;
        std::thread::spawn(move || run.run());
        for written in writes.join_all().await {
            written.unwrap();
        }
        assert_eq!(writer.transactions(), 1);
    }

    #[tokio::test]
    async fn a_write_that_fails_takes_nothing_with_it_and_leaves_nothing() {
        let (writer, run) = start();
        let mut writes = tokio::task::JoinSet::new();
        for x in [1, 2, 2, 3] {
            writes.spawn(insert(writer.clone(), x));
        }
        // This one's second step fails on what its first step must not leave behind.
        writes.spawn(insert(writer.clone(), 1_001));
        writer.intake.holds(5).await;
        std::thread::spawn(move || run.run());
        let refused = writes
            .join_all()
            .await
            .iter()
            .filter(|w| w.is_err())
            .count();
        assert_eq!(refused, 2);
        let count = |Transaction { db, .. }: &mut Transaction<'_>| {
            db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
        };
        assert_eq!(writer.run(count, |_| {}).await.unwrap(), 6);
        // The group, each of the five alone, and the count.
        assert_eq!(writer.transactions(), 7);
    }

    #[tokio::test]
    async fn when_the_disk_is_full_no_answer_lies() {
        let (writer, run) = start();
        run.db
            .execute_batch("CREATE TABLE blobs (x BLOB); PRAGMA max_page_count = 64;")
            .unwrap();
        let mut writes = tokio::task::JoinSet::new();
        for bytes in [10, 1_000_000, 10] {
            let work = move |Transaction { db, .. }: &mut Transaction<'_>| {
                db.execute("INSERT INTO blobs VALUES (zeroblob(?1))", [bytes])
                    .map(drop)
            };
            let writer = writer.clone();
            writes.spawn(async move { writer.run(work, |()| {}).await });
        }
        writer.intake.holds(3).await;
        std::thread::spawn(move || run.run());
        let answers = writes.join_all().await;
        let written = answers.iter().filter(|answer| answer.is_ok()).count();
        assert!(written < 3);
        let count = |Transaction { db, .. }: &mut Transaction<'_>| {
            db.query_row("SELECT count(*) FROM blobs", [], |row| row.get::<_, i64>(0))
        };
        let found = writer.run(count, |_| {}).await.unwrap();
        assert_eq!(usize::try_from(found).unwrap(), written);
    }

    #[tokio::test]
    async fn a_stopped_writer_finishes_what_waits_and_takes_no_more() {
        let (writer, run) = start();
        let waits = tokio::spawn(insert(writer.clone(), 1));
        writer.intake.holds(1).await;
        writer.stop();
        let thread = std::thread::spawn(move || run.run());
        waits.await.unwrap().unwrap();
        let late = insert(writer, 2).await;
        assert!(matches!(late, Err(Failure::Stopped)), "{late:?}");
        thread.join().unwrap();
    }
}
