//! The output of a child process. It is read continuously, and the newest lines are kept.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::watch,
    task::JoinHandle,
};

/// The most lines that are kept. The oldest lines are dropped first.
const LINES_MAX: usize = 2_000;
/// The most bytes of one line. Longer lines are split.
const LINE_BYTES_MAX: usize = 16 * 1_024;

/// The newest lines of one or more streams, in the order of their arrival.
#[derive(Clone)]
pub(super) struct Lines {
    ring: Arc<Mutex<Ring>>,
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
            ring: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// Reads a stream to its end.
    pub(super) fn read(&self, stream: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(read(stream, self.clone()))
    }

    /// The number of lines so far, dropped lines included.
    pub(super) fn count(&self) -> usize {
        let ring = self.lock();
        ring.dropped + ring.lines.len()
    }

    /// Waits for a line for which `find` returns a value, and returns that value. The lines so far are searched first.
    pub(super) async fn find<T>(&self, find: impl FnMut(&str) -> Option<T>) -> T {
        self.find_after(0, find).await
    }

    /// Does the same as [`Lines::find`], but skips the first `skipped` lines.
    pub(super) async fn find_after<T>(
        &self,
        skipped: usize,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        let mut changes = self.changed.subscribe();
        let mut lines_checked = skipped;
        loop {
            changes.mark_unchanged();
            {
                let ring = self.lock();
                let new_lines = ring
                    .lines
                    .iter()
                    .skip(lines_checked.saturating_sub(ring.dropped));
                if let Some(found) = new_lines.filter_map(|line| find(line)).next() {
                    return found;
                }
                lines_checked = ring.dropped + ring.lines.len();
            }
            // This cannot fail, because `self` owns the sender.
            let _ = changes.changed().await;
        }
    }

    /// All kept lines as one text.
    pub(super) fn text(&self) -> String {
        let ring = self.lock();
        let mut text = match ring.dropped {
            0 => String::new(),
            dropped => format!("({dropped} earlier lines were dropped)\n"),
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
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a stream to its end and adds its lines.
async fn read(mut stream: impl AsyncRead + Unpin, lines: Lines) {
    let mut incomplete_line: Vec<u8> = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        let ended = match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => true,
            Ok(bytes) => {
                incomplete_line.extend_from_slice(&chunk[..bytes]);
                false
            }
        };
        while let Some(end) = incomplete_line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = incomplete_line.drain(..=end).collect();
            lines.push(&line);
        }
        if !incomplete_line.is_empty() && (ended || incomplete_line.len() > LINE_BYTES_MAX) {
            lines.push(&incomplete_line);
            incomplete_line.clear();
        }
        if ended {
            return;
        }
    }
}

/// The URL in a line with `listening on http://ADDRESS`.
pub(super) fn listening_url(line: &str) -> Option<String> {
    let (_, address) = line.split_once("listening on http://")?;
    let is_of_address =
        |character: char| character.is_ascii_hexdigit() || ".:[]".contains(character);
    let end = address.find(|character| !is_of_address(character));
    let address = &address[..end.unwrap_or(address.len())];
    let address: std::net::SocketAddr = address.parse().ok()?;
    Some(format!("http://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_found_in_text_and_json_logs() {
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
    async fn the_newest_lines_are_kept_and_the_dropped_lines_are_counted() {
        let lines = Lines::new();
        let text: String = (0..LINES_MAX + 3)
            .map(|number| format!("line {number}\n"))
            .collect();
        lines
            .read(std::io::Cursor::new(text))
            .await
            .expect("the stream is read");
        let kept = lines.text();
        assert!(kept.starts_with("(3 earlier lines were dropped)\nline 3\n"));
        assert!(kept.ends_with(&format!("line {}\n", LINES_MAX + 2)));
    }

    #[tokio::test]
    async fn a_line_that_does_not_end_is_split() {
        let lines = Lines::new();
        let text = "x".repeat(LINE_BYTES_MAX * 3);
        lines
            .read(std::io::Cursor::new(text))
            .await
            .expect("the stream is read");
        assert!(lines.text().lines().count() >= 2);
    }

    #[tokio::test]
    async fn a_search_finds_a_later_line_and_an_earlier_line() {
        let lines = Lines::new();
        let find = |line: &str| line.strip_prefix("n=").map(str::to_owned);
        let waiting = {
            let lines = lines.clone();
            tokio::spawn(async move { lines.find(find).await })
        };
        tokio::task::yield_now().await;
        lines.push(b"other\n");
        lines.push(b"n=7\n");
        assert_eq!(waiting.await.expect("the line is found"), "7");
        assert_eq!(lines.find(find).await, "7");
    }
}
