//! What the operating system reports of the process. The names are those of Prometheus's own client libraries.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::metrics::MetricType;
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use crate::sampled::{Sampled, one};

/// The metrics of the process. What the system does not report is left out.
pub(crate) fn sampled() -> [Sampled; 5] {
    let started = SystemTime::now().duration_since(UNIX_EPOCH);
    let started = started.ok().map(|since| since.as_secs_f64());
    [
        sampled_value(
            "process_cpu_seconds",
            "CPU time of the process, user and system",
            MetricType::Counter,
            || Some(cpu_seconds()),
        ),
        sampled_value(
            "process_resident_memory_bytes",
            "Resident memory of the process",
            MetricType::Gauge,
            resident_bytes,
        ),
        sampled_value(
            "process_open_fds",
            "Open file descriptors",
            MetricType::Gauge,
            open_files,
        ),
        sampled_value(
            "process_max_fds",
            "The most file descriptors that may be open",
            MetricType::Gauge,
            files_max,
        ),
        sampled_value(
            "process_start_time_seconds",
            "When the process started, in seconds since the epoch",
            MetricType::Gauge,
            move || started,
        ),
    ]
}

/// A metric without labels.
fn sampled_value(
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    read: impl Fn() -> Option<f64> + Send + Sync + 'static,
) -> Sampled {
    let read = move || one(read());
    Sampled {
        name,
        help,
        kind,
        read: Box::new(read),
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn resident_bytes() -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u32 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let page_bytes = u32::try_from(rustix::param::page_size()).ok()?;
    Some(f64::from(pages) * f64::from(page_bytes))
}

fn open_files() -> Option<f64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    u32::try_from(open).ok().map(f64::from)
}

/// `None` without a limit.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn files_max() -> Option<f64> {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map(|limit| limit as f64)
}
