//! What all searches of one run may cost together, and a line for each, which is shown although its test passes.

use std::{io::Write as _, sync::LazyLock, time::Duration, time::Instant};

const TIME_MAX: Duration = Duration::from_secs(300);
const MEMORY_MAX_KIB: u64 = 6 * 1_024 * 1_024;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time begins with the first search.
pub(crate) fn begin() {
    LazyLock::force(&BEGAN);
}

/// Prints a line. Not by `println!`, which is kept for tests that fail.
pub(crate) fn tell(line: &str) {
    // Whoever has closed the stream does not want to know.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Fails once the searches so far have cost more than all of them may.
pub(crate) fn assert_kept() {
    let took = BEGAN.elapsed();
    assert!(
        took < TIME_MAX,
        "the searches take longer than {TIME_MAX:?}"
    );
    if let Some(peak_kib) = peak_kib() {
        assert!(peak_kib < MEMORY_MAX_KIB, "{peak_kib} KiB of memory");
    }
}

/// The most memory that the process has had, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
