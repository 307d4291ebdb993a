//! The CPU time and memory that all searches of one run may use together. Each search prints a line, also when its test
//! passes.

use std::{io::Write as _, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// CPU time and not wall time, so that other load on the machine fails no search.
const CPU_TIME_MAX: Duration = Duration::from_secs(300);
const MEMORY_MAX_KIB: u64 = 6 * 1_024 * 1_024;

/// Prints a line. The test harness captures `println!` of tests that pass.
pub(crate) fn print_line(line: &str) {
    // A closed stream is no fault of the test.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Fails once the searches so far exceed the budget.
pub(crate) fn assert_within_budget() {
    let used = cpu_time();
    assert!(
        used < CPU_TIME_MAX,
        "the searches use more CPU time than {CPU_TIME_MAX:?}"
    );
    if let Some(peak_kib) = peak_kib() {
        assert!(peak_kib < MEMORY_MAX_KIB, "{peak_kib} KiB of memory");
    }
}

/// The CPU time that this process has used.
pub(crate) fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec as u32)
}

/// The peak memory of the process, where the system reports it.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
