//! The CPU time and memory that all searches of one run may use together, and the lines that the searches print.

use std::{io::Write as _, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// A limit of CPU time, not of wall time, so that other load on the machine does not fail the test.
const CPU_TIME_MAX: Duration = Duration::from_secs(300);
const MEMORY_MAX_KIB: u64 = 6 * 1_024 * 1_024;

/// Writes a line directly to stderr. The test harness would hide a `println!` of a test that passes.
pub(crate) fn print_line(line: &str) {
    // A closed stderr must not fail the test.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Asserts that all searches so far have stayed within the budget.
pub(crate) fn assert_within_budget() {
    let used = cpu_time();
    assert!(
        used < CPU_TIME_MAX,
        "the searches have used {used:?} of CPU time; the budget is {CPU_TIME_MAX:?}"
    );
    if let Some(peak_kib) = peak_kib() {
        assert!(
            peak_kib < MEMORY_MAX_KIB,
            "the searches used {peak_kib} KiB of memory; the budget is {MEMORY_MAX_KIB} KiB"
        );
    }
}

/// The CPU time that this process has used.
pub(crate) fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec as u32)
}

/// The peak memory of this process, if the system reports it (Linux does).
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
