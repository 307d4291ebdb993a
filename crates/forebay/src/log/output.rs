//! Writes log lines from a thread of its own, so that no caller waits for the reader of the log.
//!
//! A line is dropped and counted if it cannot be written, or if too many bytes wait because the reader is slow. A report, a line
//! with the number of dropped lines, follows the next line that is written, or comes after an interval without lines.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

/// The longest wait at the exit, and after a panic, for lines that are not written yet.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_millis(200);
/// The most bytes that wait to be written.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The memory of a waiting line in addition to its bytes.
const ENTRY_BYTES: usize = 64;
/// How long a line is tried again while a non-blocking pipe is full.
const PIPE_FULL_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause between two tries while a non-blocking pipe is full.
const PIPE_FULL_PAUSE: Duration = Duration::from_millis(10);
/// The shortest time between two reports of dropped lines.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Makes the report of this many dropped lines.
pub(super) type MakeReport = Box<dyn Fn(u64) -> Vec<u8> + Send>;

/// A handle to the thread that writes. Cheap to clone.
#[derive(Clone)]
pub(super) struct LogOutput {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when a line waits.
    added: Condvar,
    /// Notified when no line waits.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    /// The memory of the waiting lines.
    waiting_bytes: usize,
    /// Whether the thread is writing a line.
    is_writing: bool,
    /// The lines that were dropped since the last report.
    dropped: u64,
    /// The lines that were dropped since the start.
    dropped_total: u64,
}

impl State {
    fn drop_line(&mut self) {
        self.dropped += 1;
        self.dropped_total += 1;
    }
}

impl LogOutput {
    /// Starts the thread that writes to `target`. It writes a report at most once in each `report_interval`. The thread ends with
    /// the process.
    pub(super) fn start(
        target: Box<dyn Write + Send>,
        make_report: MakeReport,
        report_interval: Duration,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            added: Condvar::new(),
            emptied: Condvar::new(),
        });
        let writing = LogThread {
            shared: Arc::clone(&shared),
            target,
            is_torn: false,
            make_report,
            report_interval,
            reported_at: None,
        };
        thread::Builder::new()
            .name(String::from("forebay-log"))
            .spawn(move || writing.run())?;
        Ok(Self { shared })
    }

    /// Adds a line, or drops it if too many bytes wait.
    pub(super) fn push(&self, bytes: Vec<u8>) {
        let mut state = self.shared.lock();
        let memory = bytes.len() + ENTRY_BYTES;
        if state.waiting_bytes + memory > WAITING_BYTES_MAX {
            state.drop_line();
            return;
        }
        state.waiting_bytes += memory;
        state.waiting.push_back(bytes);
        drop(state);
        self.shared.added.notify_one();
    }

    /// How many lines were dropped since the start.
    pub(super) fn dropped_total(&self) -> u64 {
        self.shared.lock().dropped_total
    }

    /// Waits until all lines are written or dropped, but at most for `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let state = self.shared.lock();
        // An error means that another thread panicked with the lock. Then there is nothing to wait for.
        drop(
            self.shared
                .emptied
                .wait_timeout_while(state, timeout, is_busy),
        );
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next line. `None` if lines were dropped and no further line has come for `report_interval`.
    fn next(&self, report_interval: Duration) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let mut is_report_due = false;
        loop {
            if let Some(bytes) = state.waiting.pop_front() {
                state.waiting_bytes -= bytes.len() + ENTRY_BYTES;
                state.is_writing = true;
                return Some(bytes);
            }
            if is_report_due {
                return None;
            }
            if state.dropped == 0 {
                let waited = self.added.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            } else {
                let waited = self.added.wait_timeout(state, report_interval);
                let (waited, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                (state, is_report_due) = (waited, timeout.timed_out());
            }
        }
    }

    /// Records that the write of a line has ended. If the line was not written, it counts as dropped.
    fn written(&self, is_written: bool) {
        let mut state = self.lock();
        state.is_writing = false;
        if !is_written {
            state.drop_line();
        }
        if state.waiting.is_empty() {
            self.emptied.notify_all();
        }
    }
}

/// The loop of the thread.
struct LogThread {
    shared: Arc<Shared>,
    target: Box<dyn Write + Send>,
    /// Whether only a part of the last line was written.
    is_torn: bool,
    make_report: MakeReport,
    report_interval: Duration,
    reported_at: Option<Instant>,
}

impl LogThread {
    fn run(mut self) {
        loop {
            let Some(bytes) = self.shared.next(self.report_interval) else {
                self.report_dropped();
                continue;
            };
            let is_written = self.write(&bytes).is_ok();
            if is_written {
                self.report_dropped();
            }
            self.shared.written(is_written);
        }
    }

    /// Reports the dropped lines, at most once in each interval. If the report cannot be written, the count is kept.
    fn report_dropped(&mut self) {
        let is_recent = |at: Instant| at.elapsed() < self.report_interval;
        let dropped = self.shared.lock().dropped;
        if dropped == 0 || self.reported_at.is_some_and(is_recent) {
            return;
        }
        let report = (self.make_report)(dropped);
        if self.write(&report).is_ok() {
            self.reported_at = Some(Instant::now());
            self.shared.lock().dropped -= dropped;
        }
    }

    /// Writes a line. After an error, a part of the line may be written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if std::mem::take(&mut self.is_torn) {
            let ended = write_in_time(&mut *self.target, b"\n");
            self.is_torn = ended.is_err();
            ended.map_err(|(error, _)| error)?;
        }
        write_in_time(&mut *self.target, bytes).map_err(|(error, written)| {
            self.is_torn = written > 0;
            error
        })
    }
}

/// Writes all bytes. The error comes with the number of bytes that were written.
fn write_in_time(target: &mut dyn Write, bytes: &[u8]) -> Result<(), (io::Error, usize)> {
    let began = Instant::now();
    let mut written = 0;
    while written < bytes.len() {
        match target.write(&bytes[written..]) {
            Ok(0) => return Err((io::ErrorKind::WriteZero.into(), written)),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && began.elapsed() < PIPE_FULL_TIMEOUT =>
            {
                thread::sleep(PIPE_FULL_PAUSE);
            }
            Err(error) => return Err((error, written)),
        }
    }
    Ok(())
}

impl<'a> MakeWriter<'a> for LogOutput {
    type Writer = PendingEntry;

    fn make_writer(&'a self) -> Self::Writer {
        PendingEntry {
            output: self.clone(),
            bytes: Vec::new(),
        }
    }
}

/// A line that is being made. It is added when this value is dropped.
pub(super) struct PendingEntry {
    output: LogOutput,
    bytes: Vec<u8>,
}

impl Write for PendingEntry {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for PendingEntry {
    fn drop(&mut self) {
        self.output.push(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests;
