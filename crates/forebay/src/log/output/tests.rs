//! Tests of the output: which lines are dropped, and that callers never wait.

use std::sync::mpsc;

use tracing::subscriber::with_default;

use super::*;

/// The timeout of a flush that must succeed.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A target whose writes wait for a result from the test and return it. Once the test has dropped the sender, they write everything.
struct ScriptedTarget {
    results: mpsc::Receiver<io::Result<usize>>,
    written: mpsc::Sender<Vec<u8>>,
}

impl Write for ScriptedTarget {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.results.recv().unwrap_or(Ok(usize::MAX));
        let count = result?.min(bytes.len());
        self.written.send(bytes[..count].to_vec()).unwrap();
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Results = mpsc::Sender<io::Result<usize>>;

/// An output that reports dropped lines only after a line that is written.
fn start() -> (LogOutput, Results, mpsc::Receiver<Vec<u8>>) {
    start_with(Duration::from_secs(3_600))
}

fn start_with(report_interval: Duration) -> (LogOutput, Results, mpsc::Receiver<Vec<u8>>) {
    let (sender, results) = mpsc::channel();
    let (written_sender, written) = mpsc::channel();
    let target = ScriptedTarget {
        results,
        written: written_sender,
    };
    let make_report = Box::new(|dropped| format!("{dropped} dropped\n").into_bytes());
    let output = LogOutput::start(Box::new(target), make_report, report_interval);
    (output.unwrap(), sender, written)
}

fn text(written: &mpsc::Receiver<Vec<u8>>) -> String {
    String::from_utf8(written.try_iter().flatten().collect()).unwrap()
}

#[test]
fn lines_that_cannot_be_written_are_dropped() {
    let (output, results, written) = start();
    for error in [
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::StorageFull,
        io::ErrorKind::Other,
    ] {
        results.send(Err(error.into())).unwrap();
        output.push(b"lost\n".to_vec());
        output.flush(TIMEOUT);
    }
    drop(results);
    output.push(b"a\n".to_vec());
    output.flush(TIMEOUT);
    assert_eq!(text(&written), "a\n3 dropped\n");
    assert_eq!(output.shared.lock().dropped, 0);
}

#[test]
fn dropped_lines_are_reported_although_no_line_follows() {
    let (output, results, written) = start_with(Duration::from_millis(1));
    // The report is tried until it can be written.
    for _ in 0..3 {
        let error = io::ErrorKind::StorageFull.into();
        results.send(Err(error)).unwrap();
    }
    drop(results);
    output.push(b"lost\n".to_vec());
    let report = written.recv_timeout(TIMEOUT).expect("a report is written");
    assert_eq!(report, b"1 dropped\n");
}

#[test]
fn the_rest_of_a_torn_line_is_dropped_and_the_next_line_begins_anew() {
    let (output, results, written) = start();
    for result in [
        Ok(3),
        Err(io::ErrorKind::Interrupted.into()),
        Err(io::ErrorKind::BrokenPipe.into()),
    ] {
        results.send(result).unwrap();
    }
    drop(results);
    output.push(b"torn line\n".to_vec());
    output.push(b"next\n".to_vec());
    output.flush(TIMEOUT);
    assert_eq!(text(&written), "tor\nnext\n1 dropped\n");
}

#[test]
fn a_full_pipe_is_tried_again() {
    let (output, results, written) = start();
    for _ in 0..3 {
        let full = Err(io::ErrorKind::WouldBlock.into());
        results.send(full).unwrap();
    }
    drop(results);
    output.push(b"a\n".to_vec());
    output.flush(TIMEOUT);
    assert_eq!(text(&written), "a\n");
}

#[test]
fn callers_do_not_wait_for_a_reader_that_reads_nothing() {
    let (output, results, written) = start();
    let megabyte = vec![b'x'; 1_000_000];
    for _ in 0..100 {
        output.push(megabyte.clone());
    }
    let state = output.shared.lock();
    assert!(state.waiting_bytes <= WAITING_BYTES_MAX);
    // One line may be with the thread already.
    assert!((95..=96).contains(&state.dropped), "{}", state.dropped);
    drop(state);
    output.flush(Duration::ZERO);
    drop(results);
    output.flush(TIMEOUT);
    let bytes: usize = written.try_iter().map(|bytes| bytes.len()).sum();
    assert!((4_000_000..=5_000_100).contains(&bytes), "{bytes}");
}

#[test]
fn the_writer_of_a_line_adds_it_once() {
    let (output, results, written) = start();
    drop(results);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(output.clone())
        .finish();
    with_default(subscriber, || tracing::info!(n = 7, "hello"));
    output.flush(TIMEOUT);
    let text = text(&written);
    assert!(text.ends_with("hello n=7\n"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}
