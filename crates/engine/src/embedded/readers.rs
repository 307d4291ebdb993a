//! The threads that read, each on a connection of its own, so that no read waits for a write.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{durable::Durable, failure::Failure, intake::Intake};

/// Reads that wait at most; whoever comes then waits for room.
const WAITING_MAX: usize = 1_024;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A handle to the reading threads.
pub(super) struct Readers {
    intake: Intake<Read>,
    durable: Arc<Durable>,
}

/// What was read.
pub(super) struct Seen<T> {
    pub(super) value: T,
    /// The newest transaction that it can come from.
    pub(super) newest: u64,
}

/// What each thread runs.
pub(super) struct ReaderLoop {
    db: Connection,
    waiting: Arc<Mutex<mpsc::Receiver<Read>>>,
}

impl Readers {
    /// A handle, and for each connection a loop to run on a thread of its own.
    pub(super) fn new(
        connections: Vec<Connection>,
        durable: Arc<Durable>,
    ) -> (Self, Vec<ReaderLoop>) {
        let (intake, receiver) = Intake::new(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(receiver));
        let loops = connections
            .into_iter()
            .map(|db| ReaderLoop {
                db,
                waiting: Arc::clone(&waiting),
            })
            .collect();
        (Self { intake, durable }, loops)
    }

    /// Runs `work` on the database as it stands at one moment, which may be ahead of the disk.
    pub(super) async fn run<T, W>(&self, work: W) -> Result<Seen<T>, Failure>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let durable = Arc::clone(&self.durable);
        let read: Read = Box::new(move |db| {
            // Whoever asked may have gone, and then nobody needs to know.
            if !reply.is_closed() {
                let read = at_one_moment(db, work);
                let newest = durable.seen();
                let _gone = reply.send(read.map(|value| Seen { value, newest }));
            }
        });
        self.intake.put(read).await?;
        match answer.await {
            Ok(result) => result.map_err(Failure::from),
            Err(_) => Err(Failure::Stopped),
        }
    }

    /// Takes no more reads. The threads end when those that wait are done.
    pub(super) fn stop(&self) {
        self.intake.shut();
    }
}

impl ReaderLoop {
    /// Reads until no handle is left.
    pub(super) fn run(self) {
        loop {
            // One thread waits while it holds the lock; the others wait for the lock.
            let next = self
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .blocking_recv();
            match next {
                Some(read) => read(&self.db),
                None => return,
            }
        }
    }
}

/// A transaction, so that all statements of `work` see the same.
fn at_one_moment<T>(
    db: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    db.prepare_cached("BEGIN")?.execute([])?;
    let answer = work(db);
    // Nothing was written, so this only lets go of the moment.
    db.prepare_cached("ROLLBACK")?.execute([])?;
    answer
}
