//! Waits until an installation has nothing more to do.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::installation::Installation;

/// The longest wait. After it, the measurement goes on even if the installation is not idle.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The time between two readings of the CPU time.
const INTERVAL: Duration = Duration::from_millis(250);
/// The most CPU time in one interval that counts as idle, for all processes together.
const IDLE_CPU_US_MAX: u64 = 20_000;

/// When an installation counts as idle.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settle {
    /// After an idle interval. This suffices after a start.
    Briefly,
    /// After three idle intervals in a row, and at least two seconds. Delayed work, such as the parks after a second, is then done.
    Fully,
}

impl Settle {
    fn intervals(self) -> u32 {
        match self {
            Self::Briefly => 1,
            Self::Fully => 3,
        }
    }

    fn wait_min(self) -> Duration {
        match self {
            Self::Briefly => Duration::ZERO,
            Self::Fully => Duration::from_secs(2),
        }
    }
}

/// Waits until the processes use almost no CPU time, so that work that follows a submit, such as sending its message, is
/// done. Returns after 30 s even if they are not idle.
///
/// # Errors
/// If a process has ended.
pub(crate) async fn until_idle(installation: &Installation, settle: Settle) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut idle_intervals = 0;
    let mut last_us = cpu_us(installation)?;
    while began.elapsed() < TIMEOUT {
        sleep(INTERVAL).await;
        let now_us = cpu_us(installation)?;
        idle_intervals = if now_us - last_us <= IDLE_CPU_US_MAX {
            idle_intervals + 1
        } else {
            0
        };
        last_us = now_us;
        if idle_intervals >= settle.intervals() && began.elapsed() >= settle.wait_min() {
            break;
        }
    }
    Ok(())
}

fn cpu_us(installation: &Installation) -> anyhow::Result<u64> {
    Ok(installation.usage()?.values().map(|part| part.cpu_us).sum())
}
