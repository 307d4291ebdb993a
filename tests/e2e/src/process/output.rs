//! The output of a child process, read continuously into a ring buffer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::watch,
    task::JoinHandle,
};

/// The most lines that are kept; the oldest are dropped first.
const LINES_MAX: usize = 2_000;
/// The most bytes of one line; longer lines are split.
const LINE_BYTES_MAX: usize = 16 * 1_024;

/// The newest lines of one or more streams, in the order of their arrival.
#[derive(Clone)]
pub(super) struct Lines {
    inner: Arc<Mutex<Ring>>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<String>,
    /// How many lines were dropped.
    dropped: usize,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            inner: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// Reads a stream to its end.
    pub(super) fn read(&self, stream: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(read(stream, self.clone()))
    }

    /// The first result of `find` for the lines so far and later lines. Waits until there is one.
    pub(super) async fn find<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        let mut checked: usize = 0;
        loop {
            changes.mark_unchanged();
            {
                let ring = self.lock();
                let fresh = ring.lines.iter().skip(checked.saturating_sub(ring.dropped));
                if let Some(found) = fresh.filter_map(|line| find(line)).next() {
                    return found;
                }
                checked = ring.dropped + ring.lines.len();
            }
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }

    /// All kept lines as one text.
    pub(super) fn text(&self) -> String {
        let ring = self.lock();
        let mut text = match ring.dropped {
            0 => String::new(),
            dropped => format!("({dropped} earlier lines)\n"),
        };
        for line in &ring.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn push(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        {
            let mut ring = self.lock();
            ring.lines.push_back(line.trim_end().to_owned());
            if ring.lines.len() > LINES_MAX {
                ring.lines.pop_front();
                ring.dropped += 1;
            }
        }
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(mut stream: impl AsyncRead + Unpin, lines: Lines) {
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        let ended = match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => true,
            Ok(bytes) => {
                rest.extend_from_slice(&chunk[..bytes]);
                false
            }
        };
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            lines.push(&line);
        }
        if !rest.is_empty() && (ended || rest.len() > LINE_BYTES_MAX) {
            lines.push(&rest);
            rest.clear();
        }
        if ended {
            return;
        }
    }
}

/// The URL in a line with `listening on http://ADDRESS`.
pub(super) fn listening_url(line: &str) -> Option<String> {
    let (_, after) = line.split_once("listening on http://")?;
    let end = after.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c)));
    let address = &after[..end.unwrap_or(after.len())];
    let address: std::net::SocketAddr = address.parse().ok()?;
    Some(format!("http://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_any_log_form() {
        let url = Some("http://127.0.0.1:4711".to_owned());
        for line in [
            "INFO listening on http://127.0.0.1:4711",
            "INFO listening on http://127.0.0.1:4711\u{1b}[0m engine=embedded",
            r#"{"message":"listening on http://127.0.0.1:4711"}"#,
            "listening on http://127.0.0.1:4711/ and waiting",
        ] {
            assert_eq!(listening_url(line), url, "{line}");
        }
        assert_eq!(listening_url("calls go to http://127.0.0.1:1"), None);
        assert_eq!(listening_url("listening on http://nowhere"), None);
    }

    #[tokio::test]
    async fn the_ring_keeps_the_newest_lines_and_counts_the_dropped_ones() {
        let lines = Lines::new();
        let text: String = (0..LINES_MAX + 3).map(|n| format!("line {n}\n")).collect();
        lines.read(std::io::Cursor::new(text)).await.expect("read");
        let kept = lines.text();
        assert!(kept.starts_with("(3 earlier lines)\nline 3\n"));
        assert!(kept.ends_with(&format!("line {}\n", LINES_MAX + 2)));
    }

    #[tokio::test]
    async fn a_line_without_end_is_split() {
        let lines = Lines::new();
        let text = "x".repeat(LINE_BYTES_MAX * 3);
        lines.read(std::io::Cursor::new(text)).await.expect("read");
        assert!(lines.text().lines().count() >= 2);
    }

    #[tokio::test]
    async fn a_line_is_found_before_and_after_it_arrives() {
        let lines = Lines::new();
        let find = |line: &str| line.strip_prefix("n=").map(str::to_owned);
        let waiting = {
            let lines = lines.clone();
            tokio::spawn(async move { lines.find(find).await })
        };
        tokio::task::yield_now().await;
        lines.push(b"other\n");
        lines.push(b"n=7\n");
        assert_eq!(waiting.await.expect("found"), "7");
        assert_eq!(lines.find(find).await, "7");
    }
}
